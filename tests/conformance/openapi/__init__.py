"""Our own API document against the protocol's, operation by operation."""
