"""The page Methods: a card for each method."""
