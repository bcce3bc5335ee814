"""The storm: faults alone and combined, drawn from a seed, with pauses to recover; and when service was back."""

from __future__ import annotations

import contextlib
import random
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.faults.deck import Deck
from tests.chaos.faults.fault import Fault
from tests.chaos.ledger import Ledger
from tests.chaos.plan import SHORT, either
from tests.chaos.probes import Probes
from tests.chaos.stage import Stage
from tests.chaos.storm_audit import unsettled
from tests.support.wait import eventually

RECOVERY_SECONDS = 60.0
"""Longest that service may take to be back after the last fault of a hand was lifted."""
_STAGGER = (0.0, 4.0)


SETTLE_SECONDS = either(120, 240)
_ALARM_SECONDS = 15.0  # the proactive trigger of the load waits for 10


def wait_settled(stage: Stage) -> None:
    """Until nothing is owed any more, alarms about what did not come among it."""
    began = time.monotonic()
    eventually(
        lambda: time.monotonic() > began + _ALARM_SECONDS and not unsettled(stage.database),
        "everything settles", SETTLE_SECONDS, 1.0, detail=lambda: unsettled(stage.database),
    )  # fmt: skip


@dataclass
class Strike:
    """One fault as it happened; times are epoch seconds. `beside`: what else struck at the same time."""

    fault: str
    outage: bool
    struck: float
    lifted: float
    detail: str
    beside: list[str]
    recovery: dict[str, float] = field(default_factory=dict)
    """By probe: seconds until service was back; 0 where nobody noticed."""

    def line(self) -> dict[str, Any]:
        return dict(self.__dict__)


class Storm:
    """Strikes for `seconds`, and until every kind (in the short form: family) of fault has struck."""

    def __init__(self, stage: Stage, probes: Probes, seed: int, ledger: Ledger) -> None:
        self.stage = stage
        self.probes = probes
        self.strikes: list[Strike] = []
        self.revived: list[str] = []
        self._draw = random.Random(f"storm {seed}")
        self._deck = Deck(stage, self._draw, families=SHORT)
        self._ledger = ledger
        self._failures: list[str] = []

    def rage(self, seconds: float, alongside: Callable[[], object]) -> None:
        """Raises AssertionError when something did not recover; the stage is whole when it returns.

        `alongside` is called now and then: it raises when there is no point in going on.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end or not self._deck.all_dealt():
            self._play(self._deck.deal())
            alongside()
            time.sleep(self._draw.uniform(0.2, either(1.0, 8.0)))

    def _play(self, hand: list[Fault]) -> None:
        beside = [fault.name for fault in hand]
        waits = [0.0, *(self._draw.uniform(*_STAGGER) for _ in hand[1:])]
        draws = [random.Random(self._draw.random()) for _ in hand]
        self._ledger.write("hand", faults=beside)
        threads = [
            threading.Thread(target=self._strike, args=(fault, wait, draw, beside), daemon=True)
            for fault, wait, draw in zip(hand, waits, draws, strict=True)
        ]
        began = len(self.strikes)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(240)
            assert not thread.is_alive(), f"a fault did not end: {beside}"
        assert not self._failures, "\n".join(self._failures)
        self._recover(hand, self.strikes[began:])

    def _strike(self, fault: Fault, wait: float, draw: random.Random, hand: list[str]) -> None:
        try:
            time.sleep(wait)
            struck = time.time()
            print(f"[storm] {time.strftime('%H:%M:%S')} {fault.name}: {sorted(fault.claims)}", flush=True)
            fault.strike(draw)
            beside = [name for name in hand if name != fault.name]
            lifted = fault.lifted or time.time()
            self.strikes.append(Strike(fault.name, fault.outage, struck, lifted, fault.detail, beside))
        except BaseException:
            self._failures.append(f"{fault.name}: {traceback.format_exc()}")

    def _recover(self, hand: list[Fault], strikes: list[Strike]) -> None:
        lifted = max(strike.lifted for strike in strikes)
        deadline = time.monotonic() + RECOVERY_SECONDS
        while missing := self._missing(hand, lifted):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not back {RECOVERY_SECONDS:g} s after {[fault.name for fault in hand]} "
                    f"({[fault.detail for fault in hand]}): {missing}\n{self.stage.tails()}"
                )
            time.sleep(0.2)
        # While an outage lasts nobody can be back, whatever else struck at the same time.
        outages = [strike.lifted for strike in strikes if strike.outage]
        claimed = set[str]().union(*(fault.claims for fault in hand))
        if any({member.name for member in role} <= claimed for role in (self.stage.apis, self.stage.services)):
            outages.append(lifted)  # all replicas of one role were struck
        for strike in strikes:
            strike.recovery = self.probes.recovery(strike, max(strike.struck, *outages, 0.0))
            self._ledger.write("strike", **strike.line())

    def _missing(self, hand: list[Fault], since: float) -> list[str]:
        """What is not back yet."""
        # An init system starts what has ended; how often it had to is a figure of the report.
        self.revived += self.stage.revive()
        missing = [name for name in self.probes.names() if not self.probes.alive(name, since)]
        with contextlib.suppress(OSError):
            missing += [fault.name for fault in hand if not fault.recovered()]
        missing += [member.name for member in self.stage.members if not member.ready()]
        return missing
