"""Retries of tasks and flows, with delays, conditions, and without luck."""

from typing import Any

from sempre import flow, runtime, task
from sempre.tasks import exponential_backoff
from tests.conformance.sdk.tools import ended, error_of


@task(retries=2, retry_delay_seconds=0.1)
def third_time() -> int:
    if runtime.task_run.run_count < 3:
        raise ConnectionError("not yet")
    return runtime.task_run.run_count


@task(retries=2)
def at_once() -> int:
    if runtime.task_run.run_count < 2:
        raise ConnectionError("not yet")
    return runtime.task_run.run_count


@task(retries=1, retry_delay_seconds=0.1)
def never() -> None:
    raise ConnectionError("never")


@flow
def fixed() -> Any:
    return [third_time(), at_once(), ended(never(return_state=True)), third_time.submit().result()]


def delays() -> Any:
    return fixed()


@task(retries=3, retry_delay_seconds=[0.05, 0.1, 0.15])
def listed() -> int:
    if runtime.task_run.run_count < 4:
        raise ConnectionError("not yet")
    return runtime.task_run.run_count


@task(retries=2, retry_delay_seconds=exponential_backoff(backoff_factor=0.05), retry_jitter_factor=0.5)
def backing_off() -> int:
    if runtime.task_run.run_count < 3:
        raise ConnectionError("not yet")
    return runtime.task_run.run_count


@flow
def growing() -> Any:
    return [listed(), backing_off()]


def growing_delays() -> Any:
    return growing()


def is_temporary(task: Any, task_run: Any, state: Any) -> bool:
    return isinstance(state.result(raise_on_failure=False), ConnectionError)


@task(retries=2, retry_condition_fn=is_temporary)
def conditional(kind: str) -> int:
    if runtime.task_run.run_count < 2:
        raise ConnectionError("again") if kind == "temporary" else ValueError("for good")
    return runtime.task_run.run_count


@flow
def conditions() -> Any:
    return [conditional("temporary"), ended(conditional("permanent", return_state=True))]


def retry_conditions() -> Any:
    return conditions()


@task
def attempt() -> int:
    return runtime.flow_run.run_count


@flow(retries=2, retry_delay_seconds=0.1)
def third_run() -> int:
    made = attempt()
    if made < 3:
        raise ConnectionError("not yet")
    return made


@flow(retries=1)
def never_runs() -> None:
    raise ConnectionError("never")


@flow(retries=1)
def parent_again() -> Any:
    value = third_run()
    if runtime.flow_run.run_count < 2:
        raise ConnectionError("the parent")
    return value


def flows() -> Any:
    return [third_run(), error_of(never_runs), parent_again()]


EXAMPLES = [delays, growing_delays, retry_conditions, flows]
