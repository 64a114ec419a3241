"""Limits of keys and of files of keys."""

MIN_KEY_CHARACTERS, MAX_KEY_CHARACTERS = 8, 1024
RESERVED_KEYS = ("action", "actions")  # parts of URLs
