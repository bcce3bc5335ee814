"""Variables: named values that the server keeps."""

from sempre.sdk.variables import Variable

__all__ = ["Variable"]
