"""A container without an engine: paths, programs and the read-only file system of the image, in a mount namespace.

What is not as in the image: the kernel's other namespaces, and tini. It has a user of its own where we are root.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from tests.support.prefect_env import ROOT
from tests.support.processes import ManagedProcess

IMAGES = ROOT / "images"
CHARTS: dict[str, Any] = json.loads(Path(__file__).with_name("charts.json").read_text())
UI_BUILD = "/home/ui_build"  # for /ui_build, which this machine has not got at its root
_TINI = ["/usr/bin/tini", "-g", "--"]

# $KEEP: what the process needs of this machine's /tmp and of homes, which others may not enter; $WRITABLE: what the
# container may write to. The command follows.
_SETUP = r"""
set -euo pipefail
mount -t tmpfs none /mnt
for top in tmp root home; do
    mkdir "/mnt/$top"
    mount --bind "/$top" "/mnt/$top"
done
mount -t tmpfs none /tmp
for path in /root /home /opt; do mount -t tmpfs -o mode=755 none "$path"; done
for path in $KEEP; do
    case "$path" in
    /tmp/* | /root/* | /home/*)
        if [ -d "/mnt$path" ]; then mkdir -p "$path"; else mkdir -p "$(dirname "$path")"; : > "$path"; fi
        mount --bind "/mnt$path" "$path"
        mount -o remount,ro,bind "$path"
        ;;
    esac
done
mkdir -p /home/prefect /home/ui_build /opt/sempre /opt/bin
chmod 0777 /home/prefect /home/ui_build  # as volumes of a pod are
cp "$SOURCE/images/entrypoint.sh" "$SOURCE/constraints.txt" /opt/sempre
cp "$SOURCE/images/prefect" /opt/bin/prefect
ln -s /opt/sempre /opt/prefect
printf '#!/bin/bash\nexec %q "$@"\n' "$PYTHON" > /opt/bin/python3
printf '#!/bin/bash\nexec %q -m sempre "$@"\n' "$PYTHON" > /opt/bin/sempre
chmod 0755 /opt/bin/* /opt/sempre/entrypoint.sh
umount /mnt/tmp /mnt/root /mnt/home
mount --bind /bin/bash "$(readlink -f /bin/sh)"
mount -o remount,ro /mnt
mount -o remount,ro /opt
mount -o remount,ro /root
for path in /home /tmp; do
    case " $WRITABLE " in
    *" $path"*) ;;
    *) mount -o remount,ro "$path";;
    esac
done
mount -o remount,ro,bind /
unset KEEP WRITABLE SOURCE PYTHON
exec "$@"
"""


@functools.cache
def available() -> bool:
    """Whether this machine lets us make mount namespaces."""
    if not shutil.which("unshare"):
        return False
    done = subprocess.run(
        [*_unshare(), "sh", "-c", "mount -t tmpfs none /mnt && mount -o remount,ro,bind /"], capture_output=True
    )
    return done.returncode == 0


def _unshare() -> list[str]:
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


@dataclass(frozen=True)
class User:
    """Who a container is run by; HOME is as the chart says, or unset."""

    uid: int
    gid: int
    has_home: bool = True

    @property
    def becoming(self) -> list[str]:
        """The command that the container's own follows."""
        ids = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        return ["setpriv", *ids, "--no-new-privs"]

    def why_not(self) -> str | None:
        """Why nothing can be run by this user here, or None."""
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            return "only root, with setpriv, can become another user"
        return None


@dataclass
class Container:
    """Starts what charts.json says of a container; `values` are those of its $NAMES, `keep` what it reads of /tmp.
    `user` is who runs it; by default whoever runs the tests."""

    workdir: Path
    values: dict[str, str] = field(default_factory=dict)
    keep: list[Path] = field(default_factory=list)
    user: User | None = None

    def start(self, name: str, **env: str) -> ManagedProcess:
        recorded = CHARTS[name]
        command = [self._filled(part) for part in [*recorded["command"], *recorded["args"]]]
        if command[: len(_TINI)] == _TINI and not shutil.which("tini"):
            command = command[len(_TINI) :]
        given = {key: self._filled(value) for key, value in recorded["env"].items()}
        ours = {
            "PATH": f"/opt/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "KEEP": " ".join(str(path) for path in [ROOT, Path(sys.prefix), Path(sys.base_prefix), *self.keep]),
            "WRITABLE": " ".join(self._filled(path) for path in recorded["writable"]),
            "SOURCE": str(ROOT),
            "PYTHON": sys.executable,
        }
        made = {**ours, **given, **env}
        if self.user:
            command = [*self.user.becoming, *command]
            if not self.user.has_home and "HOME" not in env:
                del made["HOME"]
        argv = [*_unshare(), "bash", "-c", _SETUP, "container", *command]
        return ManagedProcess.start(name, argv, log_dir=self.workdir, env=made, cwd=Path("/"))

    def _filled(self, text: str) -> str:
        return Template(text).safe_substitute(self.values)
