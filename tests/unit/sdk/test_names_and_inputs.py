"""What the server is told of runs: their names, their parameters, and what they were called in."""

from __future__ import annotations

from typing import Any

from sempre import runtime
from sempre.sdk.engine.calls import execute_flow_run
from sempre.sdk.flows import flow
from sempre.sdk.tasks import task
from tests.unit.sdk.fakes import FakeWorld


def test_parameters_are_kept_as_they_were_given(world: FakeWorld) -> None:
    @flow
    def typed(number: int, label: str = "x") -> int:
        return number

    anything: Any = typed
    assert anything("3") == 3
    assert world.api.news[0].parameters == {"number": "3", "label": "x"}


def test_a_function_that_names_runs_knows_flow_and_parameters(world: FakeWorld) -> None:
    def name() -> str:
        return f"{runtime.flow_run.flow_name} {runtime.flow_run.parameters['x']}"

    @flow(flow_run_name=name)
    def named(x: int) -> str | None:
        return runtime.flow_run.name

    @flow
    def outer(x: int) -> str | None:
        return named(x + 1)

    assert named(1) == "named 1"
    assert outer(1) == "named 2"


def test_a_run_that_was_created_elsewhere_gets_its_name_when_it_begins(world: FakeWorld) -> None:
    @flow
    def plain(x: int) -> None:
        return None

    plain(5)
    (run,) = world.api.runs.values()
    named = plain.with_options(flow_run_name="number {x}")
    execute_flow_run(named, run)
    assert world.api.runs[run.id].name == "number 5"


def test_a_task_outside_of_flows_is_called_like_its_function(world: FakeWorld) -> None:
    @task
    def lonely() -> None:
        return None

    lonely()
    assert world.events[0]["resource"]["prefect.resource.name"] == "lonely"


def test_methods_of_two_objects_are_two_calls_to_the_cache(world: FakeWorld) -> None:
    from sempre.cache_policies import INPUTS

    class Adder:
        def __init__(self, start: int) -> None:
            self.start = start

        @task(cache_policy=INPUTS)
        def add(self, x: int) -> int:
            return self.start + x

    assert [Adder(1).add(1), Adder(10).add(1), Adder(1).add(1)] == [2, 11, 2]


def test_an_error_that_is_caught_in_a_transaction_still_undoes_it(world: FakeWorld) -> None:
    from sempre.transactions import transaction

    undone: list[str] = []

    @task(on_rollback=[lambda txn: undone.append("done")])
    def done() -> None:
        return None

    @task
    def fails() -> None:
        raise ValueError("no")

    @flow
    def both() -> bool:
        with transaction() as txn:
            done()
            fails(return_state=True)
        return txn.is_committed()

    assert both() is False
    assert undone == ["done"]
