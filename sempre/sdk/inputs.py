"""Futures and states inside of arguments: who is upstream, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sempre.sdk.annotations import BaseAnnotation, allow_failure, opaque, quote
from sempre.sdk.errors import UpstreamTaskError
from sempre.sdk.states import State

if TYPE_CHECKING:
    from sempre.sdk.futures import Future

__all__ = ["PLAIN", "futures_in", "resolve", "task_inputs", "to_states", "transform"]

# Types that hold nothing: not looked into, and too common for their identity to say where they came from.
PLAIN = frozenset({int, float, str, bytes, bool, type(None), complex})

Visit = Callable[[Any, bool], Any]


def transform(value: Any, visit: Visit, forgiving: bool = False) -> Any:
    """``value`` with ``visit(future_or_state, allowed_to_fail)`` in place of each future and state in it.

    Looks into lists, tuples, sets, dicts, dataclasses and pydantic models, and returns the very same object where
    nothing had to be replaced.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if isinstance(value, State) or getattr(kind, "is_future", False):
        return visit(value, forgiving)
    if isinstance(value, BaseAnnotation):
        if isinstance(value, quote):
            return value.value
        if isinstance(value, opaque):
            inner = value.value
            is_leaf = isinstance(inner, State) or getattr(type(inner), "is_future", False)
            return visit(inner, forgiving) if is_leaf else inner
        return transform(value.value, visit, forgiving or isinstance(value, allow_failure))
    if isinstance(value, (list, tuple, set, frozenset)):
        return _items(value, visit, forgiving)
    if isinstance(value, dict):
        made = [(transform(k, visit, forgiving), transform(v, visit, forgiving)) for k, v in value.items()]
        same = all(mk is k and mv is v for (mk, mv), (k, v) in zip(made, value.items(), strict=True))
        return value if same else _like(value, dict(made))
    return _fields(value, visit, forgiving)


def resolve(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with values in place of futures and states.

    Raises UpstreamTaskError if one of these did not complete and failure was not allowed.
    """
    return {name: transform(value, _value_of) for name, value in parameters.items()}


def futures_in(*values: Any) -> list[Future[Any]]:
    """The futures in some arguments, each once; quoted ones are not seen."""
    found: dict[int, Future[Any]] = {}

    def note(leaf: Any, forgiving: bool) -> Any:
        if not isinstance(leaf, State):
            found[id(leaf)] = leaf
        return leaf

    for value in values:
        transform(value, note)
    return list(found.values())


def task_inputs(
    parameters: Mapping[str, Any], wait_for: Iterable[Any] | None, origin: Callable[[Any], Any]
) -> dict[str, list[dict[str, Any]]]:
    """What the server is told of the arguments: for each parameter the runs whose results it uses.

    ``origin`` tells the id of the task run that returned this very object, or None.
    """
    inputs: dict[str, list[dict[str, Any]]] = {}
    for name, value in parameters.items():
        inputs[name] = [] if type(value) in PLAIN else _runs_in(value, origin)
    if wait_for:
        inputs["wait_for"] = _runs_in(list(wait_for), origin)
    return inputs


def to_states(value: Any) -> Any:
    """A returned value with states in place of its futures, each waited for."""

    def state_of(leaf: Any, forgiving: bool) -> Any:
        if isinstance(leaf, State):
            return leaf
        leaf.wait()
        return leaf.state

    return transform(value, state_of)


def _runs_in(value: Any, origin: Callable[[Any], Any]) -> list[dict[str, Any]]:
    seen: dict[str, dict[str, Any]] = {}

    def add(id: Any, kind: str) -> None:
        seen[str(id)] = {"input_type": kind, "id": str(id)}

    def note(leaf: Any, forgiving: bool) -> Any:
        if not isinstance(leaf, State):
            run_id = getattr(leaf, "task_run_id", None)
            add(run_id or leaf.flow_run_id, "task_run" if run_id else "flow_run")
        elif leaf.state_details.task_run_id is not None:
            add(leaf.state_details.task_run_id, "task_run")
        elif leaf.state_details.flow_run_id is not None:
            add(leaf.state_details.flow_run_id, "flow_run")
        return leaf

    transform(value, note)
    if not seen:
        for each in [value, *(value if isinstance(value, (list, tuple)) and len(value) <= 1000 else ())]:
            run_id = None if type(each) in PLAIN else origin(each)
            if run_id is not None:
                add(run_id, "task_run")
    return list(seen.values())


def _value_of(leaf: Any, forgiving: bool) -> Any:
    state = leaf
    if not isinstance(leaf, State):
        leaf.wait()
        state = leaf.state
    if state.is_completed() or (forgiving and state.is_final()):
        return state.result(raise_on_failure=False)
    run_id = state.state_details.task_run_id or getattr(leaf, "task_run_id", None)
    raise UpstreamTaskError(f"Upstream task run '{run_id}' did not reach a 'COMPLETED' state.")


def _items(value: Any, visit: Visit, forgiving: bool) -> Any:
    made = [transform(each, visit, forgiving) for each in value]
    if all(new is old for new, old in zip(made, value, strict=True)):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*made)
    # A list of states may stand where futures were: states cannot be hashed, so a set of futures becomes a list.
    if isinstance(value, (set, frozenset)) and any(isinstance(each, State) for each in made):
        return made
    return _like(value, made)


def _like(value: Any, made: Any) -> Any:
    base = next(kind for kind in (list, tuple, set, frozenset, dict) if isinstance(value, kind))
    return base(made)


def _fields(value: Any, visit: Visit, forgiving: bool) -> Any:
    kind = type(value)
    names = getattr(kind, "__dataclass_fields__", None) or getattr(kind, "__pydantic_fields__", None)
    if not names or isinstance(value, type):
        return value
    changed = {}
    for name in names:
        old = getattr(value, name, None)
        new = transform(old, visit, forgiving)
        if new is not old:
            changed[name] = new
    if not changed:
        return value
    if hasattr(kind, "__dataclass_fields__"):
        from dataclasses import replace

        return replace(value, **changed)
    return value.model_copy(update=changed)
