"""The page Frontier: accuracy against the cost of a step."""
