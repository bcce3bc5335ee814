"""Real processes are killed, frozen and cut off under load; afterwards an auditor reads the database."""
