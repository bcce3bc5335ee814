"""The released web UI of the protocol, served as it is and pointed at a real server, in a real browser."""
