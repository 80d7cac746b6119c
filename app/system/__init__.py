"""The page System: how the server is."""
