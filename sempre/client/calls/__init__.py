"""The calls of the API, one file per resource. `sempre/client/sync_calls` is made from these files."""
