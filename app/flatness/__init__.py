"""The page Flatness: sharpness, curvature and loss around a race's weights."""
