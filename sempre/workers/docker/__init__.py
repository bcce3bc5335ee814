"""Runs as Docker containers. Needs the extra `docker`."""
