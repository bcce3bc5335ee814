"""Flows that the workers of these tests run. What they do they note in a file."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sempre import flow


def note(seen: str) -> None:
    with Path(seen).open("a") as file:
        file.write(f"{os.getpid()}\n")


@flow
def quick(seen: str) -> None:
    note(seen)


@flow
def waiting(seen: str) -> None:
    """Until somebody makes the file beside the notes."""
    note(seen)
    while not Path(f"{seen}.go").exists():
        time.sleep(0.02)


@flow
def dying(seen: str) -> None:
    note(seen)
    os._exit(3)
