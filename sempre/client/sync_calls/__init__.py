# Made from sempre/client/calls/__init__.py by scripts/sync_client.py: change that file.
"""The calls of the API, one file per resource. `sempre/client/sync_calls` is made from these files."""
