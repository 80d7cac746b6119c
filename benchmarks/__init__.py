"""Commands that made the numbers in the README. They measure; they are no tests."""
