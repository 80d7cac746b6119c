"""The app around the pages: controls, the live component, theme and texts. Never imports torch."""
