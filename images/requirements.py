"""Prints the packages that pyproject.toml asks for, with some of its extras: `requirements.py pyproject.toml s3,gcs`.

With them a layer of the image holds everything but our own code.
"""

import sys
import tomllib
from pathlib import Path


def requirements(document: str, extras: str) -> list[str]:
    """Requirements of a project; `extras` are names with commas. Raises KeyError for one that there is not."""
    project = tomllib.loads(document)["project"]
    wanted = [name.strip() for name in extras.split(",") if name.strip()]
    return [*project["dependencies"], *(each for name in wanted for each in project["optional-dependencies"][name])]


if __name__ == "__main__":
    sys.stdout.writelines(f"{each}\n" for each in requirements(Path(sys.argv[1]).read_text(), sys.argv[2]))
