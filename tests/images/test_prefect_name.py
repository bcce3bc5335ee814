"""The command `prefect` of the image: what charts call is passed on, and understood by ours."""

from __future__ import annotations

import re
import shlex
from types import ModuleType
from typing import Any

import pytest

from scripts.cli_page import walk
from tests.images.container import CHARTS
from tests.images.prefect_name import prefect_name

COMMANDS = dict(walk())


@pytest.fixture(scope="module")
def shim() -> ModuleType:
    return prefect_name()


def _called() -> list[list[str]]:
    """The arguments of every call of `prefect` that charts make."""
    found = []
    for container in CHARTS.values():
        if isinstance(container, dict):
            text = shlex.join(container["args"]) if container["args"][0] == "prefect" else container["args"][-1]
            found += [shlex.split(line) for line in re.findall(r"\bprefect (server [^;\n]*|worker [^;\n]*)", text)]
    return found


def _check_accepted(arguments: list[str]) -> None:
    """AssertionError unless our command line takes these arguments, without running anything."""
    path = "sempre"
    while arguments and f"{path} {arguments[0]}" in COMMANDS | dict.fromkeys(_groups()):
        path, arguments = f"{path} {arguments[0]}", arguments[1:]
    assert path in COMMANDS, f"{path} {arguments}"
    command: Any = COMMANDS[path]
    command.make_context(path, list(arguments))


def _groups() -> set[str]:
    return {" ".join(path.split()[:count]) for path in COMMANDS for count in range(2, len(path.split()))}


@pytest.mark.parametrize(
    "line",
    [
        *(shlex.join(arguments).replace("$PORT", "4200") for arguments in _called()),
        "server start --host 0.0.0.0 --no-services --analytics-off",
        "server start --workers 4 --keep-alive-timeout 75 --log-level INFO --no-ui",
        "server services ls -o json",
        "server status --wait -t 60",
        "server stop",
        "server database upgrade -y",
        "server database downgrade -y -r -1",
        "server database reset -y",
        "version --omit-integrations",
        "work-pool inspect default -o json",
        "work-pool update default --base-job-template template.json",
        "work-pool create default --type process",
        "deployment schedule pause --all",
        "flow-run cancel 5b2a0000-0000-4000-8000-000000000000",
    ],
)
def test_ours_understands_what_is_passed_on(shim: ModuleType, line: str) -> None:
    _check_accepted(shim.translated(shlex.split(line.replace("'", ""))))


def test_flags_of_ours_that_stay_and_what_is_behind_a_double_dash(shim: ModuleType) -> None:
    assert shim.translated(["server", "start", "--analytics-on", "--port", "1"]) == ["server", "start", "--port", "1"]
    assert shim.translated(["a", "--", "--analytics-on"]) == ["a", "--", "--analytics-on"]


def test_what_only_a_hosted_service_has_is_refused_with_what_there_is(shim: ModuleType) -> None:
    assert "server start" in shim.refusal(["cloud", "login"])
    assert shim.refusal(["--profile", "server", "start"]) is None
    assert shim.refusal([]) is None
