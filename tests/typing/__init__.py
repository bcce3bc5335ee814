"""A project of a user's, for type checkers alone: `make lint` reads it strictly, nothing runs it."""
