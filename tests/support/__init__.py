"""Helpers of the tests: real processes, servers, a proxy, databases, the black-box client."""
