"""Wire models of the protocol, shared by server and client."""
