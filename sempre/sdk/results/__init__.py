"""Values of runs: how they are written, where, and how they are found again."""
