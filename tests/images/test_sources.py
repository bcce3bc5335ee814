"""Containerfile, shell scripts and units: held against their linters, and against the files they speak of."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from images.requirements import requirements
from tests.images.container import IMAGES
from tests.support.prefect_env import ROOT

CONTAINERFILE = IMAGES / "Containerfile"
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


def _program(name: str) -> str:
    """A program that came with a package of the virtual environment."""
    return str(Path(sys.executable).with_name(name))


def test_the_containerfile_passes_hadolint() -> None:
    done = subprocess.run([_program("hadolint"), str(CONTAINERFILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", [IMAGES / "entrypoint.sh"], ids=lambda path: path.name)
def test_shell_scripts_pass_shellcheck(script: Path) -> None:
    done = subprocess.run([_program("shellcheck"), str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_what_the_image_is_made_of_is_there_and_pinned() -> None:
    text = CONTAINERFILE.read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY") and "--from" not in line]
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = {each for parts in copied for each in parts if not each.startswith("--")}
    for source in sources:
        assert (ROOT / source).exists(), source
    assert {source.split("/")[0] for source in sources} == sent  # all of the build's context, and no more
    assert all(re.search(r":\S*\d", base) for base in re.findall(r"^ARG BASE=(\S+)", text, re.MULTILINE))
    pins = [line for line in (IMAGES / "constraints.txt").read_text().splitlines() if line and line[0] not in "#-"]
    assert pins
    assert all("==" in line for line in pins)


def test_every_requirement_of_the_image_is_pinned() -> None:
    pinned = {
        re.split(r"[=\[]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    document = (ROOT / "pyproject.toml").read_text()
    names = {re.split(r"[^\w.-]", each)[0].lower().replace("_", "-") for each in requirements(document, "")}
    assert "fastapi" in names
    assert names <= pinned
    assert set(requirements(document, "s3")) > set(requirements(document, ""))
    with pytest.raises(KeyError):
        requirements(document, "no-such-extra")


def test_the_contract_of_the_image_is_in_the_containerfile() -> None:
    text = CONTAINERFILE.read_text()
    parts = ("tini", "curl", "git", " uv", "libnss-wrapper", "1001", "/home/prefect", "/ui_build", "/opt/prefect")
    for part in (*parts, "ln -sf bash"):
        assert part in text, part
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    assert users == ["1001:1001"]
    assert '"/usr/bin/tini", "-g", "--", "/opt/sempre/entrypoint.sh"' in text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd on this machine")
def test_the_units_are_units(tmp_path: Path) -> None:
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/sempre/bin/sempre", "/bin/true"))
    names = [str(tmp_path / unit.name.replace("@", "@default")) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stderr.splitlines() if "sempre" in line]
    assert (done.returncode, said) == (0, []), done.stderr


def test_units_run_commands_that_there_are_and_leave_time_to_stop() -> None:
    from scripts.cli_page import walk

    commands = dict(walk())
    assert {unit.name for unit in UNITS} >= {"sempre.service", "sempre-api.service", "sempre-services.service"}
    settings = dict(
        line.split("=", 1)
        for line in (ROOT / "deploy" / "systemd" / "sempre.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    stopping = sum(float(settings[f"SEMPRE_SERVER_API_SHUTDOWN_{part}_SECONDS"]) for part in ("DRAIN", "GRACE"))
    for unit in UNITS:
        text = unit.read_text()
        (line,) = re.findall(r"^ExecStart=/opt/sempre/bin/(.*)$", text, re.MULTILINE)
        words = line.split()
        path = " ".join(words[: next((at for at, word in enumerate(words) if word.startswith("-")), len(words))])
        if "worker" not in unit.name:
            assert path in commands, unit.name
        if "oneshot" not in text:
            (timeout,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
            assert float(timeout) >= stopping + 10, unit.name
