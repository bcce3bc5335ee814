"""How canaries end: passed, failed, given up, interrupted; and what is cleared up then."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from sempre.canary.canary import Canary, Outcome
from sempre.canary.every import CANARIES, UnknownCanaryError, chosen
from sempre.canary.offers import Offers
from sempre.canary.overlaps import most_at_once
from sempre.canary.playing import play, play_all
from sempre.canary.reports import as_document, as_junit
from sempre.canary.stage import Stage
from sempre.client.errors import ApiUnreachable
from tests.support.wait import eventually


def test_outcomes() -> None:
    def fails(stage: Stage) -> None:
        stage.equal(1, 2, "one")

    def breaks(stage: Stage) -> None:
        raise OSError("no network")

    assert play(Canary("ok", "", lambda stage: None), "t").passed
    assert play(Canary("bad", "", fails), "t").message == "one: 1 instead of 2"
    broken = play(Canary("broken", "", breaks), "t")
    assert (broken.result, broken.message) == ("failed", "OSError: no network")


def test_waiting_ends_with_the_canarys_time_and_says_what_was_seen() -> None:
    def check(stage: Stage) -> None:
        stage.wait("two comes", lambda: 1, lambda found: found == 2)

    outcome = play(Canary("waits", "", check), "t", seconds=0.3)
    assert outcome.result == "failed"
    assert outcome.message == "not within 0 s: two comes; last seen: 1"


def test_one_that_hangs_is_given_up_and_cleared_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sempre.canary.playing._GRACE", 0.1)
    removed: list[str] = []
    free = threading.Event()

    def check(stage: Stage) -> None:
        stage.cleaner("first", lambda: removed.append("first"))
        stage.cleaner("second", lambda: removed.append("second"))
        stage.waits_for = "the moon"
        free.wait(30)
        stage.cleaner("too late", lambda: removed.append("too late"))

    outcome = play(Canary("hangs", "", check), "t", seconds=0.1)
    assert (outcome.result, removed) == ("timed out", ["second", "first"])
    assert "the moon" in outcome.message
    free.set()
    eventually(lambda: removed[-1] == "too late", "what was made later is removed as well")


def test_what_cannot_be_removed_is_told_and_keeps_nothing_else() -> None:
    removed: list[str] = []

    def refuse() -> None:
        raise PermissionError("not yours")

    def check(stage: Stage) -> None:
        stage.cleaner("first", lambda: removed.append("first"))
        stage.cleaner("the rock", refuse)

    outcome = play(Canary("messy", "", check), "t")
    assert outcome.passed
    assert outcome.left_behind == ("the rock: not yours",)
    assert removed == ["first"]


def meet(others: threading.Barrier) -> None:
    others.wait()


def test_many_are_played_at_once_and_told_in_their_order() -> None:
    together = threading.Barrier(3, timeout=20)
    ended: list[str] = []
    canaries = [Canary(f"c{number}", "", lambda stage: meet(together)) for number in range(3)]
    outcomes = play_all(canaries, at_once=3, ended=lambda outcome: ended.append(outcome.name))
    assert [outcome.name for outcome in outcomes] == ["c0", "c1", "c2"]
    assert all(outcome.passed for outcome in outcomes)
    assert sorted(ended) == ["c0", "c1", "c2"]


def test_an_interrupt_ends_those_that_play() -> None:
    removed: list[str] = []

    playing = threading.Event()

    def check(stage: Stage) -> None:
        stage.cleaner("mine", lambda: removed.append(stage.name))
        playing.set()
        stage.wait("for ever", lambda: False)

    def end(stage: Stage) -> None:
        playing.wait(60)

    def interrupt(outcome: Outcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play_all([Canary("waits", "", check), Canary("ends", "", end)], ended=interrupt)
    assert len(removed) == 1


def test_the_choice() -> None:
    assert {canary.name for canary in chosen()} == set(CANARIES)
    assert [canary.name for canary in chosen(["tasks", "hello"], ["tasks"])] == ["hello"]
    assert "abandoned-leases" not in {canary.name for canary in chosen(quick=True)}
    assert [canary.name for canary in chosen(["abandoned-leases"], quick=True)] == ["abandoned-leases"]
    with pytest.raises(UnknownCanaryError, match="There is no canary nobody"):
        chosen(skip=["nobody"])


def test_reports() -> None:
    outcomes = [Outcome("a", "passed", 1.0), Outcome("b", "failed", 2.0, "x < y\x00 & z")]
    document = as_document("http://api", outcomes, 2.5)
    assert (document["passed"], document["seconds"]) == (False, 2.5)
    root = ElementTree.fromstring(as_junit(outcomes, 2.5))
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert [failure.get("message") for failure in root.iter("failure")] == ["x < y & z"]


@dataclass
class Span:
    start_time: datetime | None
    end_time: datetime | None


def test_overlaps() -> None:
    zero = datetime(2026, 1, 1, tzinfo=UTC)

    def span(begin: float, end: float) -> Span:
        return Span(zero + timedelta(seconds=begin), zero + timedelta(seconds=end))

    assert most_at_once([]) == 0
    assert most_at_once([span(0, 2), span(2, 3), span(1, 2)]) == 2
    assert most_at_once([span(0, 9), span(1, 3), span(2, 4), Span(zero, None)]) == 3


def test_what_a_server_cannot_do_is_skipped_and_nothing_fails_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    document: dict[str, object] = {"paths": {"/api/flows/{id}": {"get": {}}, "/v2/limits/": {"post": {}}}}
    monkeypatch.setattr("sempre.canary.stage.OFFERS", Offers(lambda: document))

    def skips(stage: Stage) -> None:
        stage.skip("the server has no such thing")

    there = play(Canary("there", "", lambda stage: None, needs=("GET /flows/{flow_id}", "POST /v2/limits/")), "t")
    assert there.passed
    lacking = play(Canary("lacking", "", lambda stage: None, needs=("GET /flows/{id}", "DELETE /v2/limits/")), "t")
    assert (lacking.result, lacking.message) == ("skipped", "the server has no DELETE /v2/limits/")
    outcomes = [there, lacking, play(Canary("skips", "", skips), "t")]
    assert [outcome.failed for outcome in outcomes] == [False, False, False]
    assert as_document("http://api", outcomes, 1.0)["passed"]
    root = ElementTree.fromstring(as_junit(outcomes, 1.0))
    assert (root.get("failures"), root.get("skipped")) == ("0", "2")
    assert [each.get("message") for each in root.iter("skipped")] == [outcome.message for outcome in outcomes[1:]]


def test_a_server_that_does_not_describe_itself_is_thought_to_have_everything() -> None:
    asked = []

    def describe() -> object:
        asked.append(1)
        raise ApiUnreachable("away")

    offers = Offers(describe)
    assert offers.missing([]) == []
    assert offers.missing(["GET /anything"]) == []
    assert offers.missing(["GET /anything"]) == []
    assert len(asked) == 1
    assert Offers(lambda: "no document").missing(["GET /anything"]) == []
