"""Examples that run against a Sempre server; see README.md here."""
