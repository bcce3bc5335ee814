"""What `sempre worker start` says before there is a worker."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Invoke


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "Missing required option '--pool' / '-p'."),
        (("-p", "x", "--type", "nothing"), "There are no workers of type 'nothing'; there are: "),
        (("-p", "x", "--install-policy", "maybe"), "--install-policy is one of always, if-not-present, never, prompt"),
        (("-p", "x", "-t", "process", "--base-job-template", "there-is-no-file.json"), "cannot be read"),
    ],
)
def test_what_cannot_be_started_is_said(invoke: Invoke, arguments: tuple[str, ...], complaint: str) -> None:
    result = invoke("worker", "start", *arguments)
    assert result.exit_code == 1
    assert complaint in " ".join(result.output.split())


def test_flags_are_explained(invoke: Invoke) -> None:
    shown = invoke("worker", "start", "--help").output
    for flag in ("--pool", "--work-queue", "--limit", "--with-healthcheck", "--run-once", "--prefetch-seconds"):
        assert flag in shown


def test_execute_wants_an_id(invoke: Invoke) -> None:
    result = invoke("flow-run", "execute", "brave-otter")
    assert result.exit_code == 1
    assert "is no id of a flow run" in " ".join(result.output.split())
    assert invoke("flow-run", "execute").exit_code == 2
