from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sempre.deployments.steps import run_shell_script
from sempre.sdk.deploying.steps.placeholders import PlaceholderError, fill, from_environment, from_outputs
from sempre.sdk.deploying.steps.running import StepError, parse_steps, run_steps, step_function
from sempre.sdk.deploying.steps.shell import CommandFailed

SHOUTED = "tests.unit.sdk.deploying.test_steps.shout"


async def shout(text: str) -> dict[str, str]:
    """A user's own step."""
    return {"text": text.upper()}


def test_placeholders_are_values_or_parts_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "here")
    known = from_outputs({"build": {"tags": ["a", "b"]}, "get-hash": {"stdout": "c0ffee"}, "image": "i:1"})
    given = {
        "all": "{{ build.tags }}",
        "hash": ["at-{{ get-hash.stdout }}"],
        "image": "{{image}}",
        "where": "{{ $WHERE }}",
        "docker": "{{.Id}}",
        "number": 3,
    }
    assert fill(given, known, from_environment) == {
        "all": ["a", "b"],
        "hash": ["at-c0ffee"],
        "image": "i:1",
        "where": "here",
        "docker": "{{ .Id }}",
        "number": 3,
    }
    assert fill("{{ later.directory }}", known, keep=True) == "{{ later.directory }}"
    with pytest.raises(PlaceholderError, match="later"):
        fill("{{ later.directory }}", known)


@pytest.mark.parametrize("package", ["sempre.deployments.steps", "prefect.deployments.steps"])
def test_steps_hand_their_outputs_on(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code").mkdir()
    seen: list[str] = []
    outputs = run_steps(
        parse_steps(
            [
                {f"{package}.run_shell_script": {"id": "where", "script": "echo code", "stream_output": False}},
                {SHOUTED: {"id": "loud", "text": "to {{ where.stdout }}"}},
                {f"{package}.set_working_directory": {"directory": "{{ where.stdout }}"}},
            ]
        ),
        after=lambda index, step: seen.append(f"{index} {step.short_name}"),
    )
    assert outputs["loud"] == {"text": "TO CODE"}
    assert outputs["directory"] == "code"
    assert Path.cwd() == tmp_path / "code"
    assert seen == ["0 run_shell_script", "1 shout", "2 set_working_directory"]


def test_every_known_step_is_there() -> None:
    import sempre.deployments.steps as public

    for name in public.__all__:
        for package in ("sempre.deployments.steps", "prefect.deployments.steps.utility", "prefect_docker.steps"):
            assert step_function(f"{package}.{name}") is getattr(public, name)
    for name in ("aws.deployments.steps.pull_from_s3", "gcp.deployments.steps.push_to_gcs"):
        assert step_function(f"prefect_{name}").__module__ == "sempre.sdk.deploying.steps.object_stores"


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([{"prefect.deployments.steps.git_clon": {}}], "no step 'git_clon'"),
        ([{"nowhere.at_all": {}}], "nowhere to be found"),
        ([{"a.b": {}, "c.d": {}}], "one function"),
        ({"a.b": {}}, "list"),
        ([{"sempre.deployments.steps.run_shell_script": {"script": "false"}}], "ended with 1"),
        ([{"sempre.deployments.steps.set_working_directory": {"directory": "{{ a.b }}"}}], "Nothing is known"),
        ([{"sempre.deployments.steps.git_clone": {"repositry": "x"}}], "repositry"),
    ],
)
def test_steps_that_fail_say_why(steps: Any, why: str) -> None:
    with pytest.raises(StepError, match=why):
        run_steps(parse_steps(steps))


def test_scripts_are_lines_of_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = "# first\necho $NAME 'two words'\n\npwd"
    out = run_shell_script(script, str(tmp_path), {"NAME": "Ada"}, expand_env_vars=True)
    assert out == {"stdout": f"Ada two words\n{os.path.realpath(tmp_path)}", "stderr": ""}
    assert "Ada two words" in capsys.readouterr().out
    assert run_shell_script("echo $NAME", env={"NAME": "Ada"}, stream_output=False)["stdout"] == "$NAME"
    with pytest.raises(CommandFailed, match="'false' ended with 1"):
        run_shell_script("false\necho never", stream_output=False)
