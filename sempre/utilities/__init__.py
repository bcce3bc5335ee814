"""Small things with well-known addresses."""
