"""Workers: processes that take runs from a work pool and give each the infrastructure it runs in."""
