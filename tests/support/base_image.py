"""What stands in for the base image of our images where no image registry can be reached: Debian's packages, under the
name that the Containerfile calls it by. The Containerfile is used as it is.

Unlike in the base image, /usr/local is a virtual environment of Debian's Python, of the same version.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.support import debian
from tests.support.prefect_env import ROOT

__all__ = ["CONTAINERFILE", "archive", "name"]

CONTAINERFILE = ROOT / "images" / "Containerfile"
_AUTHORITIES = Path("usr/local/share/ca-certificates")
_PACKAGES = "ca-certificates,netbase,python3-venv,tzdata"
_SECONDS = 600


def name() -> tuple[str, str]:
    """Of the base image: what it is called by, without its tag, and the tag."""
    found = re.search(r"^ARG BASE=([^:\s]+):(\S+)$", CONTAINERFILE.read_text(), re.MULTILINE)
    assert found, "the Containerfile names its base"
    return found[1], found[2]


def archive() -> Path:
    """The root file system as a tar file, made once for a cache. Raises debian.Unavailable. Root only."""
    _, tag = name()
    version, release = tag.split("-")[0], tag.split("-")[-1]
    cache = debian.cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"base-{tag}.tar"
    with (cache / f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix="base-") as folder:
                _make(Path(folder) / "root", version, release)
                partial = target.with_suffix(".partial")
                with tarfile.open(partial, "w") as packed:
                    packed.add(Path(folder) / "root", arcname=".")
                partial.rename(target)
    return target


def _make(root: Path, version: str, release: str) -> None:
    program = debian.binary("debootstrap")
    scripts = program.path.parents[2] / "usr/share/debootstrap"
    _run(
        [program.command, "--variant=minbase", f"--include={_PACKAGES}", release, str(root)],
        DEBOOTSTRAP_DIR=str(scripts),
    )
    # Whom this machine trusts is trusted inside: its way to Debian and to Python's packages may go through a proxy.
    for authority in (Path("/") / _AUTHORITIES).glob("*.crt"):
        shutil.copy(authority, root / _AUTHORITIES)
    _run(["chroot", str(root), "update-ca-certificates"])
    _run(["chroot", str(root), "python3", "-m", "venv", "--system-site-packages", "/usr/local"])
    has = _run(["chroot", str(root), "python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
    if has != version:
        raise debian.Unavailable(f"Debian {release} has Python {has}, the image is to have {version}.")
    for leftover in (*root.glob("var/cache/apt/archives/*.deb"), *root.glob("var/lib/apt/lists/*Packages*")):
        leftover.unlink()


def _run(argv: list[str], **env: str) -> str:
    path = f"/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin:{os.environ['PATH']}"
    done = subprocess.run(
        argv, env={"PATH": path, "LC_ALL": "C", **env}, capture_output=True, text=True, timeout=_SECONDS
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-1000:]
        raise debian.Unavailable(f"{' '.join(argv)} failed: {said}")
    return done.stdout
