"""Kept results, and calls that are answered with them."""

import time
from datetime import timedelta
from typing import Any

from sempre import flow, get_client, runtime, task
from sempre.cache_policies import DEFAULT, FLOW_PARAMETERS, INPUTS, NO_CACHE, RUN_ID, TASK_SOURCE
from tests.conformance.sdk.tools import ended

ran: list[str] = []


def took_place() -> list[str]:
    seen = list(ran)
    ran.clear()
    return seen


@task(persist_result=True, result_storage_key="{flow_run.flow_name}-{parameters[x]}.json", result_serializer="json")
def under_a_name(x: int) -> dict[str, int]:
    ran.append(f"name {x}")
    return {"x": x}


@task(result_serializer="compressed/json")
def compressed() -> list[int]:
    return list(range(100))


@flow(persist_result=True)
def keeping() -> Any:
    return [under_a_name(1), compressed()[-1], str(runtime.flow_run.id)]


def kept() -> Any:
    *values, id = keeping()
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(id)
    state: Any = run.state
    return [values, state.type.value, took_place()]


@task(cache_policy=INPUTS)
def square(x: int, verbose: bool = False) -> int:
    ran.append(f"square {x}")
    return x * x


@task(cache_policy=INPUTS - "verbose")
def cube(x: int, verbose: bool = False) -> int:
    ran.append(f"cube {x}")
    return x**3


@task(cache_policy=TASK_SOURCE + INPUTS)
def source(x: int) -> int:
    ran.append(f"source {x}")
    return x


@task(cache_policy=NO_CACHE, persist_result=True)
def uncached(x: int) -> int:
    ran.append(f"uncached {x}")
    return x


@flow
def caching() -> Any:
    return [
        square(3), square(3), square(3, verbose=True), square.submit(3).result(), cube(2), cube(2, verbose=True),
        source(1), source(1), uncached(1), uncached(1), ended(square(3, return_state=True)),
    ]  # fmt: skip


def caches() -> Any:
    return [caching(), took_place(), caching(), took_place()]


@task(cache_policy=DEFAULT, persist_result=True)
def by_default(x: int) -> int:
    ran.append(f"default {x}")
    return x


@task(cache_policy=RUN_ID)
def once_a_run(x: int) -> int:
    ran.append(f"run {x}")
    return x


@task(cache_policy=FLOW_PARAMETERS)
def once_for_parameters(x: int) -> int:
    ran.append(f"parameters {x}")
    return x


@flow
def policies(number: int) -> Any:
    return [by_default(1), by_default(1), once_a_run(1), once_a_run(2), once_for_parameters(1), once_for_parameters(2)]


def cache_policies() -> Any:
    return [policies(1), took_place(), policies(1), took_place(), policies(2), took_place()]


def key_of(context: Any, parameters: dict[str, Any]) -> str | None:
    return None if parameters["x"] < 0 else f"key-of-{parameters['x'] % 2}"


@task(cache_key_fn=key_of)
def by_function(x: int) -> int:
    ran.append(f"function {x}")
    return x


@task(cache_policy=INPUTS, cache_expiration=timedelta(seconds=2))
def short_lived(x: int) -> int:
    ran.append(f"short {x}")
    return x


@task(cache_policy=INPUTS, refresh_cache=True)
def refreshing(x: int) -> int:
    ran.append(f"refresh {x}")
    return x


@flow
def keys() -> Any:
    values = [by_function(1), by_function(2), by_function(3), by_function(-1), by_function(-1)]
    values += [short_lived(1), short_lived(1)]
    time.sleep(2.2)
    return [*values, short_lived(1), refreshing(1), refreshing(1)]


def cache_keys() -> Any:
    return [keys(), took_place()]


@task(cache_policy=INPUTS, retries=1)
def fails_first(x: int) -> int:
    ran.append(f"fails {x}")
    if ran.count(f"fails {x}") == 1:
        raise ConnectionError("first")
    return x


@flow
def failing_cache() -> Any:
    return [fails_first(77), fails_first(77)]


def failures_are_not_kept() -> Any:
    return [failing_cache(), took_place()]


EXAMPLES = [kept, caches, cache_policies, cache_keys, failures_are_not_kept]
