"""Every Python example of the documentation is run."""
