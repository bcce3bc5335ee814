"""Sempre: a control plane for Python workflows that never stops."""

__version__ = "0.1.0"
