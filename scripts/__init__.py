"""Checks and generators for the repository; run as `python scripts/<name>.py`."""
