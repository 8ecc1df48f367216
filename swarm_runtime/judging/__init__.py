"""Judges: what an outcome is worth. ``outcome`` needs no key and measures; nothing here guesses."""
