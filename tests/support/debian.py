"""Programs that tests need beside Python: the machine's own, or Debian's packages unpacked into a cache.

Nothing is installed and nobody needs to be root: `apt-get download` and `dpkg -x` into `.debian` of the checkout (or
under SEMPRE_TEST_CACHE). `python -m tests.support.debian nginx haproxy` provides programs ahead of the tests.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.prefect_env import ROOT

__all__ = ["Program", "Unavailable", "binary", "cache_folder", "clock_skew"]

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian keeps daemons; not on everybody's PATH."""

_LOADER = "LD_LIBRARY_PATH"


class Unavailable(RuntimeError):
    """The program is neither on this machine nor to be had from a Debian archive; says what to do."""


@dataclass(frozen=True)
class Program:
    """A program that runs. `environment` is what has to be added to the environment of its process."""

    path: Path
    environment: dict[str, str]

    @property
    def command(self) -> str:
        return str(self.path)


def binary(name: str, *, package: str | None = None) -> Program:
    """The program called `name` (nginx, haproxy, pgbouncer, ...), fetched on first use. Raises Unavailable."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SBIN))
    if found:
        return Program(Path(found), {})
    root = _unpacked(package or name)
    for directory in ("usr/sbin", "usr/bin", "sbin", "bin"):
        path = root / directory / name
        if path.is_file():
            return Program(path, _libraries(root))
    raise Unavailable(f"Debian's package {package or name} has no program {name}. {_advice(name)}")


def clock_skew(seconds: float) -> dict[str, str]:
    """Environment of a process whose wall clock is wrong by `seconds`; its monotonic clock is right.

    Both matter: a machine with a wrong clock still measures durations well. Raises Unavailable.
    """
    root = _unpacked("libfaketime")
    library = next(root.glob("usr/lib/*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise Unavailable(f"Debian's package libfaketime has no library. {_advice('libfaketime')}")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{seconds:+.3f}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",  # its name in older versions
    }


def _advice(name: str) -> str:
    return f"Install {name} with the machine's package manager, or run these tests on Debian or Ubuntu."


def cache_folder() -> Path:
    shared = os.environ.get("SEMPRE_TEST_CACHE")
    return (Path(shared) / "debian" if shared else ROOT / ".debian").absolute()


def _unpacked(package: str) -> Path:
    """The directory that holds the package and the libraries it needs that the machine lacks."""
    apt = shutil.which("apt-get")
    if apt is None or shutil.which("dpkg") is None:
        raise Unavailable(f"{package} is not on this machine, which has no apt-get to fetch it. {_advice(package)}")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / package
    # Parallel test processes: one fetches, the others wait here.
    with (cache / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            partial = cache / f"{package}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            _fetch(package, partial)
            partial.rename(target)
    return target


def _fetch(package: str, into: Path) -> None:
    options = _apt_options(package)
    _download([package], into, options)
    if missing := _missing_libraries(into):
        # What an installation would bring beside the package; of that, only libraries are of use unpacked.
        planned = _run(["apt-get", *options, "--simulate", "--no-install-recommends", "install", package])
        names = [line.split()[1] for line in planned.splitlines() if line.startswith("Inst ")]
        _download([name for name in names if name != package and name.startswith("lib")], into, options)
        if missing := _missing_libraries(into):
            raise Unavailable(f"{package} needs {', '.join(sorted(missing))}. {_advice(package)}")


def _apt_options(package: str) -> list[str]:
    """Options with which apt knows the package: none, or lists of our own where the machine's are not there."""
    options = ["-qq", "-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else ["-qq"]
    if "Candidate:" not in _run(["apt-cache", "policy", package]):
        lists = cache_folder() / "lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        options += ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={lists}"]
        _run(["apt-get", *options, "update"])
    return options


def _download(packages: Sequence[str], into: Path, options: Sequence[str]) -> None:
    if not packages:
        return
    downloads = into / "downloads"
    downloads.mkdir(exist_ok=True)
    _run(["apt-get", *options, "download", *packages], cwd=downloads)
    for archive in downloads.glob("*.deb"):
        _run(["dpkg", "-x", str(archive), str(into)])
    shutil.rmtree(downloads)


def _missing_libraries(root: Path) -> set[str]:
    programs = [path for folder in ("usr/sbin", "usr/bin") for path in (root / folder).glob("*") if path.is_file()]
    lines = [
        line
        for program in programs
        for line in _run(["ldd", str(program)], env={**os.environ, **_libraries(root)}, check=False).splitlines()
    ]
    return {line.split()[0] for line in lines if line.endswith("not found")}


def _libraries(root: Path) -> dict[str, str]:
    found = (path for pattern in ("*.so", "*.so.*") for path in root.glob(f"**/lib/**/{pattern}"))
    folders = sorted({str(path.parent) for path in found})
    if not folders:
        return {}
    inherited = os.environ.get(_LOADER)
    return {_LOADER: os.pathsep.join([*folders, *([inherited] if inherited else [])])}


def _run(argv: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None, check: bool = True) -> str:
    try:
        done = subprocess.run(argv, cwd=cwd, env=env, check=False, text=True, capture_output=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{' '.join(argv[:4])} ...: {error}. {_advice(argv[-1])}") from error
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()[-1000:]
        raise Unavailable(f"{' '.join(argv)} failed: {said}\n{_advice(argv[-1])}")
    return done.stdout


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        try:
            sys.stdout.write(f"{binary(wanted).path}\n")
        except Unavailable as unavailable:
            sys.exit(str(unavailable))
