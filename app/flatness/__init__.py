"""The page Flatness: what was measured around a race's weights."""
