"""Random automations and random streams of events for them, small enough that they have much to do with each other."""

from __future__ import annotations

from itertools import count
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from tests.support.trigger_oracle import SECOND

Document = dict[str, Any]

_NAMES = ("a.x", "a.y", "b", "a.")
_PATTERNS = ("a.x", "a.y", "a.*", "b", "*", "*.x", "[ab]", "a.")
_REFERENCES = ("prefect.resource.id", "color", "related:flow:prefect.resource.id", "related:nobody:color")
_LABELS: tuple[Document, ...] = (
    *({},) * 8,
    {"prefect.resource.id": "r.1"},
    {"prefect.resource.id": ["r.1", "r.2"]},
    {"prefect.resource.id": "r.*"},
    {"color": "red"},
    {"color": "!red"},
    {"color": ["re?", "bl*"], "prefect.resource.id": "r.*"},
)
_RELATED: tuple[Any, ...] = (
    *({},) * 8,
    [],
    {"prefect.resource.role": "flow"},
    {"prefect.resource.id": "f.1", "prefect.resource.role": "flow"},
    [{"prefect.resource.id": "f.1"}, {"prefect.resource.role": ["flow", "tag"], "prefect.resource.id": "!f.1"}],
)

_names = st.sampled_from(_PATTERNS)
_expected = st.lists(_names, max_size=2, unique=True)
_openers: st.SearchStrategy[list[str]] = st.one_of(
    st.just([]), st.just([]), st.lists(_names, min_size=1, max_size=2, unique=True)
)


@st.composite
def _event_trigger(draw: st.DrawFn) -> Document:
    proactive = draw(st.booleans())
    return {
        "type": "event",
        "posture": "Proactive" if proactive else "Reactive",
        "match": draw(st.sampled_from(_LABELS)),
        "match_related": draw(st.sampled_from(_RELATED)),
        "after": draw(_openers),
        "expect": draw(_expected),
        "for_each": sorted(draw(st.lists(st.sampled_from(_REFERENCES), max_size=2, unique=True))),
        "threshold": draw(st.sampled_from((*(1,) * 6, *(2,) * 4, 3, 5, 0, -1))),
        "within": draw(st.sampled_from((10, 15, 30, 100) if proactive else (0, 0, 5, 10, 30, 100, 0.5))),
    }


def _composite(children: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    within = st.sampled_from((None, None, 0, 5, 10, 30, 100))
    several = st.lists(children, min_size=1, max_size=3)
    sequence = st.fixed_dictionaries({"type": st.just("sequence"), "triggers": several, "within": within})

    @st.composite
    def compound(draw: st.DrawFn) -> Document:
        triggers = draw(several)
        require = draw(st.sampled_from(("any", "all", *range(1, len(triggers) + 1))))
        return {"type": "compound", "triggers": triggers, "within": draw(within), "require": require}

    return sequence | compound()


def _with_ids(trigger: Document, numbers: Any) -> Document:
    children = [_with_ids(child, numbers) for child in trigger.get("triggers", ())]
    named = {**trigger, "id": str(UUID(int=next(numbers)))}
    return {**named, "triggers": children} if children else named


def triggers(leaves: int = 5) -> st.SearchStrategy[Document]:
    """Triggers as the API has them, each part with an id."""
    tree = st.one_of(_event_trigger(), st.recursive(_event_trigger(), _composite, max_leaves=leaves))
    return tree.map(lambda trigger: _with_ids(trigger, count(1000)))


@st.composite
def _event(draw: st.DrawFn) -> Document:
    """``lag``: how long ago it happened, in seconds; below zero, it is yet to happen."""
    related = [{"prefect.resource.id": id, "prefect.resource.role": "flow"} for id in draw(_related_ids)]
    colors = {"color": color} if (color := draw(st.sampled_from((None, "red", "blue")))) else {}
    return {
        "kind": "event",
        "event": draw(st.sampled_from(_NAMES)),
        "resource": {"prefect.resource.id": draw(st.sampled_from(("r.1", "r.2", "x.3"))), **colors},
        "related": related,
        "lag": draw(st.sampled_from((0, 0, 0, 0, 1, 4, 20, 200, 2000, -3, -40))),
    }


_related_ids = st.lists(st.sampled_from(("f.1", "f.2")), max_size=2)
_advances = st.sampled_from((0, 0, 1, 1, 2, 5, 10, 30, 100))


def _moves(kind: str, **fields: Any) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries({"kind": st.just(kind), **fields})


def steps(most: int = 30) -> st.SearchStrategy[list[Document]]:
    """What happens, in order: events, looks at what does not come (``behind`` seconds late), sweeps. ``wall`` is when,
    in microseconds."""
    step = st.one_of(
        _event(), _event(), _event(), _moves("tick", behind=st.sampled_from((0, 0, 3, 20))), _moves("sweep")
    )
    return st.lists(st.tuples(_advances, step), min_size=min(8, most), max_size=most).map(_timed)


def _timed(plan: list[tuple[int, Document]]) -> list[Document]:
    wall, timed = 0, []
    for number, (advance, step) in enumerate(plan, 1):
        wall += advance * SECOND
        one = {**step, "wall": wall, "number": number}
        if step["kind"] == "event":
            one |= {"id": str(UUID(int=number)), "occurred": wall - step["lag"] * SECOND}
        timed.append(one)
    return timed
