"""The previous release, from the history of this checkout: what runs beside the present one during an upgrade."""

from __future__ import annotations

import functools
import os
import subprocess
import tarfile
from pathlib import Path

from tests.support.prefect_env import ROOT

_MIGRATIONS = "sempre/db/migrations/versions"


@functools.cache
def revision() -> str:
    """The newest commit whose schema is older than that of the working tree; SEMPRE_CHAOS_PREVIOUS names another.

    Empty where there is no history, as in an unpacked archive.
    """
    named = os.environ.get("SEMPRE_CHAOS_PREVIOUS")
    if named:
        return _git("rev-parse", named)
    if _git("status", "--porcelain", "--", _MIGRATIONS):
        return _git("rev-parse", "HEAD")
    newest = _git("log", "-1", "--diff-filter=A", "--format=%H", "--", _MIGRATIONS)
    return _git("rev-parse", f"{newest}^") if newest else ""


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
