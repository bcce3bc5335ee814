"""The entrypoint: what it does before it becomes the command."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.images.container import IMAGES


@dataclass
class Entrypoint:
    """Runs it with programs that only tell how they were called."""

    home: Path
    programs: Path
    env: dict[str, str] = field(default_factory=dict)

    def program(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(self.home), "TOLD": str(self.home / "told")}
        return subprocess.run(
            [IMAGES / "entrypoint.sh", *command], env={**env, **self.env}, input=stdin, capture_output=True, text=True
        )

    @property
    def told(self) -> str:
        path = self.home / "told"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def entrypoint(tmp_path: Path) -> Entrypoint:
    home, programs = tmp_path / "home", tmp_path / "programs"
    home.mkdir()
    programs.mkdir()
    return Entrypoint(home, programs)


def test_it_becomes_the_command(entrypoint: Entrypoint) -> None:
    done = entrypoint.run("bash", "-c", 'echo "$0 $1 $$"; exit 7', "a b", "c")
    assert done.returncode == 7
    assert done.stdout.startswith("a b c ")


def test_bashrc_is_read_and_its_failure_ends_it(entrypoint: Entrypoint) -> None:
    (entrypoint.home / ".bashrc").write_text("export GREETING=hello\n")
    assert entrypoint.run("printenv", "GREETING").stdout == "hello\n"
    (entrypoint.home / ".bashrc").write_text("false\n")
    assert entrypoint.run("echo", "never").returncode == 1


def test_nothing_is_written_and_a_home_that_is_not_there_is_no_problem(entrypoint: Entrypoint) -> None:
    entrypoint.home = Path("/proc/nowhere")
    assert entrypoint.run("echo", "fine").stdout == "fine\n"


def test_extra_packages_are_installed_before_the_command(entrypoint: Entrypoint) -> None:
    entrypoint.program("python3", 'echo "$*" >> "$TOLD"; echo "pip speaks"')
    entrypoint.env["EXTRA_PIP_PACKAGES"] = "one==1 two"
    done = entrypoint.run("echo", "started")
    assert (done.returncode, done.stdout) == (0, "started\n")  # what pip says is not what the command says
    assert entrypoint.told.startswith("-m pip install --user --no-cache-dir")
    assert entrypoint.told.endswith(" one==1 two\n")


@pytest.mark.parametrize("variable", ["PREFECT__FLOW_RUN_ID", "SEMPRE__FLOW_RUN_ID", None])
def test_a_failed_installation_ends_it_and_the_runs_log_says_so(entrypoint: Entrypoint, variable: str | None) -> None:
    entrypoint.program("python3", 'if [ "$1" = -m ]; then exit 23; fi; exec ' + sys.executable + ' "$@"')
    entrypoint.program("sempre", 'echo "$*" > "$TOLD"; cat >> "$TOLD"')
    entrypoint.env["EXTRA_PIP_PACKAGES"] = "nonsense"
    if variable:
        entrypoint.env[variable] = "5b2a0000-0000-4000-8000-000000000000"
    done = entrypoint.run("echo", "never")
    assert (done.returncode, done.stdout) == (23, "")
    assert "could not be installed (nonsense): pip ended with 23" in done.stderr
    if not variable:
        assert entrypoint.told == ""
        return
    call, _, body = entrypoint.told.partition("\n")
    assert call == "api POST /logs/ --data @-"
    (line,) = json.loads(body)
    assert (line["flow_run_id"], line["level"]) == (entrypoint.env[variable], 40)
    assert "nonsense" in line["message"]


def test_without_a_command_a_login_shell(entrypoint: Entrypoint) -> None:
    entrypoint.program("sempre", "echo 1.2.3")
    done = entrypoint.run(stdin="shopt login_shell\n")
    assert "Sempre 1.2.3" in done.stdout
    assert "login_shell    \ton" in done.stdout


def test_packages_programs_never_hide_ours(entrypoint: Entrypoint) -> None:
    theirs = entrypoint.home / ".local" / "bin"
    theirs.mkdir(parents=True)
    for name in ("prefect", "dbt"):
        (theirs / name).write_text("#!/bin/bash\necho theirs\n")
        (theirs / name).chmod(0o755)
    entrypoint.program("prefect", "echo ours")
    assert entrypoint.run("prefect").stdout == "ours\n"
    assert entrypoint.run("dbt").stdout == "theirs\n"
