"""The base class of block types."""

from sempre.sdk.blocks import Block

__all__ = ["Block"]
