"""The client's CLI, one file per command group: create, read back, change, delete, and every refusal."""
