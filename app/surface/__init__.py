"""The page Toy surface: paths on a loss surface, all of it in the browser."""
