"""Whose turn it is: by rows, by Docket, with everything that can die."""
