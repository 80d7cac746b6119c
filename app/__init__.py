"""The app: one package a page, and what they share in ``ui`` and ``shell``. Never imports torch."""
