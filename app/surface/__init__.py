"""The page Toy surface: paths on a surface, all of it in the browser."""
