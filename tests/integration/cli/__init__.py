"""Our own command line against a real server: what it prints, its exit codes, and what the API then says."""
