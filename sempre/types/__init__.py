"""Types of options."""
