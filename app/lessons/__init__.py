"""The page Lessons: predict, watch, reveal, try next."""
