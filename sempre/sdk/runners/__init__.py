"""Task runners: where submitted tasks are executed."""
