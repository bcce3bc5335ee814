"""The unmodified client, CLI and worker of the protocol, run as a black box against a server."""
