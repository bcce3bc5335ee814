"""Blocks: configuration and secrets that the server keeps."""
