"""What importing loads, seen in a fresh interpreter, and that every public name is there."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

HEAVY = {"pydantic", "httpx", "websockets", "rich", "typer", "jinja2", "asyncio", "logging", "inspect", "dataclasses"}
PUBLIC = [
    "artifacts",
    "assets",
    "blocks.core",
    "blocks.system",
    "cache_policies",
    "client.schemas.objects",
    "client.schemas.schedules",
    "concurrency.asyncio",
    "concurrency.sync",
    "context",
    "deployments",
    "deployments.runner",
    "deployments.steps",
    "docker",
    "events",
    "exceptions",
    "filesystems",
    "flow_runs",
    "flows",
    "futures",
    "input",
    "locking.filesystem",
    "locking.memory",
    "logging",
    "results",
    "runner",
    "runner.storage",
    "runtime",
    "runtime.deployment",
    "runtime.flow_run",
    "runtime.task_run",
    "schedules",
    "serializers",
    "states",
    "task_runners",
    "task_worker",
    "tasks",
    "transactions",
    "types.entrypoint",
    "utilities.annotations",
    "variables",
]


def loaded(code: str) -> set[str]:
    script = f"import sys; {code}; import json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_loads_nothing() -> None:
    before = loaded("import typing")
    assert loaded("import typing, sempre") - before == {"sempre"}


def test_decorating_loads_nothing_heavy() -> None:
    code = "from sempre import flow, task; f = flow(name='f')(task(retries=2)(lambda x: x).fn)"
    modules = loaded(code)
    assert {name.split(".")[0] for name in modules} & HEAVY == set()
    ours = {name for name in modules if name.startswith("sempre")}
    assert ours == {"sempre", "sempre.sdk", "sempre.sdk.flows", "sempre.sdk.tasks"}


@pytest.mark.parametrize("name", PUBLIC)
def test_what_a_module_names_it_has(name: str) -> None:
    module = import_module(f"sempre.{name}")
    assert [each for each in module.__all__ if not hasattr(module, each)] == []


def test_the_package_has_what_it_names() -> None:
    import sempre

    for name in sempre.__all__:
        assert getattr(sempre, name) is not None
        assert name in dir(sempre)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = sempre.nonsense
