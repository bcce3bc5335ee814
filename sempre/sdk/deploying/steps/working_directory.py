"""The step `set_working_directory`."""

import os

__all__ = ["set_working_directory"]


def set_working_directory(directory: str) -> dict[str, str]:
    """Go to a directory. Raises OSError if there is none."""
    os.chdir(directory)
    return {"directory": directory}
