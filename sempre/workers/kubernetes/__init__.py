"""Runs as Kubernetes jobs. Needs the extra `kubernetes`."""
