"""Copying one kind after the other, each document for itself: what fails holds up only what refers to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sempre.cli.bodies import same
from sempre.cli.errors import AlreadyExists, ApiError
from sempre.cli.progress import each
from sempre.cli.rest import Api, Json, seg
from sempre.cli.transfer.kinds import KINDS, Kind, Ledger, MissingReference

CREATED, CHANGED, EQUAL, DIFFERS, FAILED = "created", "changed", "equal", "differs", "failed"
RESULTS = (CREATED, CHANGED, EQUAL, DIFFERS, FAILED)


@dataclass(frozen=True)
class Outcome:
    """What became of one document."""

    kind: str
    name: str
    result: str
    reason: str = ""


@dataclass(frozen=True)
class Options:
    """`overwrite`: change what is there and differs. `pause_schedules`: schedules arrive paused."""

    dry_run: bool = False
    overwrite: bool = False
    pause_schedules: bool = False
    only: frozenset[str] = frozenset()


def transfer(source: Api, target: Api, options: Options) -> Iterator[Outcome]:
    """Copy everything. Kinds that are not wanted are still read, for the ids that others refer to."""
    ledger = Ledger()
    for kind in KINDS:
        yield from _Copy(kind, source, target, options, ledger).run()


class _Copy:
    """One kind on its way."""

    def __init__(self, kind: Kind, source: Api, target: Api, options: Options, ledger: Ledger) -> None:
        self.kind, self.source, self.target = kind, source, target
        self.options, self.ledger = options, ledger
        self.wanted = not options.only or kind.title in options.only
        self.there: dict[Any, Json] = {}

    def run(self) -> list[Outcome]:
        documents = self.kind.read(self.source)
        self.there = {item["_key"]: item for item in self.kind.read(self.target)}
        if not self.wanted:
            self._note_ids(documents)
            return []
        outcomes: list[Outcome] = []
        waiting = documents
        while waiting:
            results = self._all(waiting)
            again = [item for item, outcome in zip(waiting, results, strict=True) if outcome.result == FAILED]
            # What failed may refer to what came after it; a round in which nothing got on is the last.
            last = len(again) == len(waiting)
            outcomes += [outcome for outcome in results if last or outcome.result != FAILED]
            waiting = [] if last else again
        self._order_queues(documents, outcomes)
        return outcomes

    def _note_ids(self, documents: list[Json]) -> None:
        for item in documents:
            if item["_key"] in self.there:
                self.ledger.ids[item["id"]] = self.there[item["_key"]]["id"]

    def _all(self, documents: list[Json]) -> list[Outcome]:
        label = f"Copying {self.kind.title}"
        return each(documents, self._one, label, at_once=None if self.kind.side_by_side else 1)

    def _one(self, document: Json) -> Outcome:
        def outcome(result: str, reason: str = "") -> Outcome:
            return Outcome(self.kind.title, str(document["_name"]), result, reason)

        try:
            return outcome(*self._copy(document))
        except MissingReference as error:
            return outcome(FAILED, str(error))
        except ApiError as error:
            return outcome(FAILED, f"{error.status}: {error.detail}")

    def _copy(self, document: Json) -> tuple[str, str]:
        """(what became of it, why)."""
        self.ledger.require(self.kind.refers_to(document))
        body = self.ledger.translate(self._body(document))
        there = self.there.get(document["_key"])
        if there is None:
            return self._create(document, body)
        self.ledger.ids[document["id"]] = there["id"]
        if self.kind.change is None:
            return EQUAL, ""
        ours = self._body(there)
        different = [name for name in {**body, **ours} if not same(body.get(name), ours.get(name))]
        if not different:
            return EQUAL, ""
        if not self.options.overwrite and not self.kind.pristine(there):
            return DIFFERS, f"in {', '.join(different)}"
        if not self.options.dry_run:
            self.kind.change(self.target, body, there)
        return CHANGED, ", ".join(different)

    def _create(self, document: Json, body: Json) -> tuple[str, str]:
        if self.options.dry_run:
            self.ledger.ids[document["id"]] = document["id"]
            return CREATED, ""
        known = {item["id"] for item in self.there.values()}
        try:
            made = self.kind.create(self.target, body, document)
        except AlreadyExists:
            # Made by somebody else since we looked, or by an attempt of ours whose answer was lost.
            found = {item["_key"]: item for item in self.kind.read(self.target)}.get(document["_key"])
            if found is None:
                raise
            made, known = found, {found["id"]}
        self.ledger.ids[document["id"]] = made["id"]
        return (EQUAL if made["id"] in known else CREATED), ""

    def _body(self, document: Json) -> Json:
        body = self.kind.body(document)
        if self.options.pause_schedules and "schedules" in body:
            body["schedules"] = [{**item, "active": False} for item in body["schedules"]]
        return body

    def _order_queues(self, documents: list[Json], outcomes: list[Outcome]) -> None:
        """Each new queue moves others down, so their order is made right at the end."""
        made = {outcome.name.partition("/")[0] for outcome in outcomes if outcome.result == CREATED}
        if self.kind.title != "work queues" or self.options.dry_run or not made:
            return
        now = {item["_key"]: item for item in self.kind.read(self.target)}
        for item in documents:
            there = now.get(item["_key"])
            if item["work_pool_name"] in made and there and there["priority"] != item["priority"]:
                path = f"/work_pools/{seg(item['work_pool_name'])}/queues/{seg(item['name'])}"
                self.target.patch(path, {"priority": item["priority"]})
