"""The browser of these tests: one that the machine has, or Debian's package where we may install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ADVICE = (
    "The browser tests need Chromium: install Debian's package `chromium`, or put chromium or google-chrome on PATH, "
    "or name the program in SEMPRE_TEST_CHROMIUM."
)

FLAGS = (
    "--no-sandbox",  # root in a container has no other choice, and only our own pages are opened
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing outside this machine is found. (Routes of the driver would do the same and turn the cache off.)
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def find() -> Path | None:
    """The program, if the machine has one."""
    named = os.environ.get("SEMPRE_TEST_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


def provide() -> Path:
    """The program, installed with apt-get if there is none and we are root. SystemExit with advice otherwise."""
    found = find()
    apt = shutil.which("apt-get")
    if found is None and apt and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
            done = subprocess.run(
                [apt, "-qq", *arguments],
                env=environment,
                check=False,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            if done.returncode:
                sys.exit(f"apt-get {' '.join(arguments)} failed:\n{done.stdout[-2000:]}\n{ADVICE}")
        found = find()
    if found is None:
        sys.exit(ADVICE)
    return found


if __name__ == "__main__":
    # `python -m tests.browser.chromium` provides the browser ahead of the tests.
    sys.stdout.write(f"{provide()}\n")
