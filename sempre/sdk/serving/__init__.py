"""Processes that execute flow runs, and the runner that starts them for served deployments."""
