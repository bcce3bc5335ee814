"""What this server says it is."""

__all__ = ["API_VERSION", "PROTOCOL_VERSION"]

API_VERSION = "0.8.4"
PROTOCOL_VERSION = "3.8.8"  # the newest client release whose protocol is spoken in full
