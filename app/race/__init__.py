"""The page Race: the form, the Start button, and what surrounds the shown race."""
