"""Locks for keys of results."""
