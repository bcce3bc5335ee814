"""One operation against many requests: generated from its schema, wrong on purpose, or half generated and half real."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx
import hypothesis
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.integration.api.operations import JsonObject, Operation
from tests.integration.api.world import World

__all__ = ["EXAMPLES", "GENERAL", "SEED", "Fuzzer", "is_protocol_error"]

Case: TypeAlias = schemathesis.Case[Any]

LONG = os.environ.get("SEMPRE_FUZZ") == "long"
EXAMPLES = 400 if LONG else 6
"""Requests per operation and way of making them, of which there are three. SEMPRE_FUZZ=long asks for many more."""
SEED = int(os.environ.get("SEMPRE_FUZZ_SEED", "7"))

GENERAL = frozenset({400, 401, 403, 404, 405, 409, 410, 413, 422, 423})
"""Refusals that any operation may give without announcing them."""

# The protocol's document calls these JSON; they are what their clients read as text.
NOT_JSON = {"GET /flow_runs/{id}/input/{key}": "text/plain", "GET /flow_runs/{id}/logs/download": "text/csv"}

_BASE = "http://sempre.test"
_KNOWN_IDS = {
    "flow_id": "flow", "deployment_id": "deployment", "flow_run_id": "flow_run", "task_run_id": "task_run",
    "block_type_id": "block_type", "block_schema_id": "block_schema", "parent_task_run_id": "task_run",
    "work_queue_id": "queue", "block_document_id": "block_document", "lease_id": "lease",
    "work_pool_name": "pool", "work_queue_name": "queue_name",
}  # fmt: skip


def is_protocol_error(status: int, body: Any) -> bool:
    """Whether a refusal has one of the protocol's shapes."""
    if not isinstance(body, dict):
        return False
    if set(body) == {"exception_message", "exception_detail", "request_body"}:
        items = body["exception_detail"]
        return status == 422 and bool(items) and all({"type", "loc", "msg"} <= set(item) for item in items)
    if set(body) in ({"detail"}, {"exception_message"}):
        return isinstance(next(iter(body.values())), str)
    return status == 422 and set(body) == {"error"}


@dataclass
class Fuzzer:
    """Sends what is generated, and gathers what is wrong with the answers."""

    world: World
    runner: asyncio.Runner
    statuses: Counter[int] = field(default_factory=Counter)
    stale: bool = False  # some of the seeds may be gone

    def __post_init__(self) -> None:
        self.schema = schemathesis.openapi.from_dict(self.world.rooms.app.openapi())
        self.operations = {operation.key: operation for operation in self.world.document.operations}

    def refresh(self) -> None:
        """Make the objects again that paths and bodies name, if they may be gone."""
        if self.stale:
            self.runner.run(self.world.seed())
            self.stale = False

    def run(self, key: str, examples: int = EXAMPLES) -> list[str]:
        """Every fault found in one operation, each with the request that shows it."""
        operation = self.operations[key]
        described = self.schema["/api" + operation.path][operation.method]
        faults: list[str] = []
        for number, strategy in enumerate(self._ways(operation, described)):
            self.refresh()

            def test(case: Case) -> None:
                faults.extend(self._try(operation, case))

            _explore(test, strategy, examples, SEED + number)
        return faults

    def _ways(self, operation: Operation, described: Any) -> list[st.SearchStrategy[Case]]:
        positive = described.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
        ways = [self._placed(operation, positive)]
        if operation.path_names or operation.query or operation.schema is not None:
            negative = described.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
            ways.append(self._placed(operation, negative))
        if operation.schema is not None:
            ways.append(self._mixed(operation, positive))
        return ways

    def _placed(self, operation: Operation, cases: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
        """The same with ids and names of what is there, in the path mostly and in the body in half of the cases."""

        @st.composite
        def placed(draw: st.DrawFn) -> Case:
            case = draw(cases)
            for name in case.path_parameters:
                if draw(st.integers(0, 3)):
                    case.path_parameters[name] = self.world.value(operation, name)
            if isinstance(case.body, dict | list) and draw(st.booleans()):
                case.body = self._known(case.body)
            return case

        return placed()

    def _mixed(self, operation: Operation, cases: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
        """A body that is accepted, with some of its keys as generated: what comes past the checks of shapes."""

        @st.composite
        def mixed(draw: st.DrawFn) -> Case:
            case = draw(cases)
            for name in case.path_parameters:
                case.path_parameters[name] = self.world.value(operation, name)
            real = self.world.body(operation)
            if isinstance(real, dict) and isinstance(case.body, dict):
                keys = sorted({*real, *case.body})
                taken = draw(st.sets(st.sampled_from(keys), max_size=2)) if keys else set()
                case.body = {**real, **{key: case.body[key] for key in taken if key in case.body}}
            elif isinstance(real, list) and isinstance(case.body, list):
                case.body = [*real, *case.body[:1]]
            return case

        return mixed()

    def _known(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._known(item) for item in value]
        if not isinstance(value, dict):
            return value
        out: JsonObject = {}
        for key, inner in value.items():
            seed = _KNOWN_IDS.get(key)
            out[key] = self.world.seeds[seed] if seed and isinstance(inner, str) else self._known(inner)
        return out

    def _try(self, operation: Operation, case: Case) -> list[str]:
        request = _request(case)
        if request is None:
            return []
        answer = self.runner.run(self._send(request))
        self.statuses[answer.status_code] += 1
        if answer.is_success and operation.changes:
            self.stale = True
        what = f"{operation.method} {request.url} {(request.content or b'')[:1500]!r}"
        return [f"{what}\n    -> {answer.status_code} {fault}" for fault in self._faults(operation, case, answer)]

    async def _send(self, request: httpx.Request) -> httpx.Response:
        return await self.world.rooms.http.send(request)

    def _faults(self, operation: Operation, case: Case, answer: httpx.Response) -> list[str]:
        if answer.status_code >= 500:
            return [answer.text[:300]]
        if not answer.is_success:
            if answer.status_code == 307:  # a generated segment was empty: another path
                return []
            if answer.status_code not in GENERAL:
                return ["is neither documented nor general"]
            if answer.headers["content-type"] != "application/json":
                return [f"is {answer.headers['content-type']}"]
            return [] if is_protocol_error(answer.status_code, answer.json()) else [f"has the body {answer.text[:300]}"]
        made_or_found = operation.statuses & {200, 201}
        if answer.status_code not in operation.statuses:
            if answer.status_code not in (200, 201) or not made_or_found:
                return ["is not documented"]
            (answer.status_code,) = made_or_found  # get-or-create documents one of the two, with the body of both
        if operation.key in NOT_JSON:
            kind = answer.headers["content-type"].partition(";")[0]
            return [] if kind == NOT_JSON[operation.key] else [f"is {kind}"]
        try:
            case.validate_response(answer, checks=[content_type_conformance, response_schema_conformance])
        except FailureGroup as group:
            return [f"{failure.title}: {str(failure)[:1500]}" for failure in group.exceptions]
        return []


def _request(case: Case) -> httpx.Request | None:
    """The case on the wire. None for what no client can send."""
    try:
        prepared = requests.Request(**_sendable(case.as_transport_kwargs(base_url=_BASE))).prepare()
    except (requests.RequestException, UnicodeError, ValueError):
        return None
    body: Any = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    headers = [(_raw(k), _raw(v)) for k, v in prepared.headers.items()]
    try:
        return httpx.Request(case.method, str(prepared.url), headers=headers, content=body)
    except (httpx.InvalidURL, ValueError):
        return None


_REQUEST = ("method", "url", "headers", "files", "data", "params", "auth", "cookies", "hooks", "json")


def _sendable(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kwargs.items() if key in _REQUEST}


def _raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("latin-1", "replace")


def _explore(test: Callable[[Case], None], cases: st.SearchStrategy[Case], examples: int, seed: int) -> None:
    run = hypothesis.seed(seed)(hypothesis.given(case=cases)(test))
    run = hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )(run)
    # A path of one text, which nothing is wrong for, has no negatives.
    with contextlib.suppress(hypothesis.errors.Unsatisfiable):
        run()
