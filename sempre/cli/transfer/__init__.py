"""`sempre transfer`: what was set up on one server, set up on another."""
