"""Blocks that every server knows."""

from sempre.sdk.blocks import Secret

__all__ = ["Secret"]
