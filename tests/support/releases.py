"""The previous release, from the history of this checkout: what runs beside the present one during an upgrade."""

from __future__ import annotations

import functools
import os
import subprocess
import tarfile
from pathlib import Path

from tests.support.prefect_env import ROOT

PREVIOUS = "3f5804e"
"""The newest commit of the release before this one; the schema of its time is 0005. Move it at each release."""


@functools.cache
def revision() -> str:
    """Its commit; SEMPRE_CHAOS_PREVIOUS names another. Empty where the history does not have it, as in an archive."""
    return _git("rev-parse", "--verify", "--quiet", f"{os.environ.get('SEMPRE_CHAOS_PREVIOUS') or PREVIOUS}^{{commit}}")


@functools.cache
def previous_release(workdir: Path) -> Path:
    """A directory with its package, unpacked once per stage."""
    commit = revision()
    target = workdir / f"release-{commit[:10]}"
    archive = workdir / "release.tar"
    subprocess.run(["git", "archive", "-o", str(archive), commit, "sempre"], cwd=ROOT, check=True)
    with tarfile.open(archive) as opened:
        opened.extractall(target, filter="data")
    archive.unlink()
    return target


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
