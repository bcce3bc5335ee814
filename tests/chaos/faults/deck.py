"""Which faults there are on a stage, and in which order and company they strike."""

from __future__ import annotations

import random

from tests.chaos.faults.fault import Fault
from tests.chaos.faults.network import BalancerRestart, Cut, Unreachable
from tests.chaos.faults.postgres import (
    BouncerRestart,
    FailOver,
    PostgresHang,
    PostgresKill,
    PostgresPartition,
    PostgresRestart,
    StandbyLost,
)
from tests.chaos.faults.processes import ClockSkew, Freeze, Kill, KillAll, Restart, RollingUpgrade
from tests.chaos.faults.redis import (
    RedisFlush,
    RedisHang,
    RedisKill,
    RedisPartition,
    RedisReadOnly,
    RedisWipe,
)
from tests.chaos.stage import Stage
from tests.support.debian import Unavailable, clock_skew
from tests.support.releases import revision


def all_faults(stage: Stage, draw: random.Random) -> list[Fault]:
    """One fault of every kind, against victims drawn anew."""
    api, services = draw.choice(stage.apis), draw.choice(stage.services)
    either = draw.choice((api, services))
    faults: list[Fault] = [strike(stage, member) for member in (api, services) for strike in (Kill, Freeze, Restart)]
    if stage.workers:
        worker = draw.choice(stage.workers)
        faults += [strike(stage, worker) for strike in (Kill, Freeze, Restart)]
    faults += [KillAll(stage, "api"), KillAll(stage, "services")]
    faults += [Cut(stage, draw.choice(stage.apis)), Unreachable(stage, api), BalancerRestart(stage)]
    faults += [PostgresKill(stage), PostgresRestart(stage), PostgresHang(stage)]
    faults += [PostgresPartition(stage, api), PostgresPartition(stage, services)]
    if stage.postgres.standby:
        faults += [FailOver(stage), StandbyLost(stage)]
    if stage.postgres.bouncer:
        faults.append(BouncerRestart(stage))
    if stage.redis:
        faults += [strike(stage) for strike in (RedisKill, RedisWipe, RedisFlush, RedisReadOnly, RedisHang)]
        faults += [RedisPartition(stage, either), RedisPartition(stage, *stage.servers)]
    if revision():
        faults.append(RollingUpgrade(stage, draw.choice(stage.apis), draw.choice(stage.services)))
    if _faketime():
        faults.append(ClockSkew(stage, draw.choice((api, services))))
    return faults


def _faketime() -> bool:
    try:
        return bool(clock_skew(1))
    except Unavailable:
        return False


class Deck:
    """Deals hands of one to three faults that do not claim the same. No kind comes again before all have come.

    `families=True`: a deck is one fault of each family only, as the short form has it.
    """

    def __init__(self, stage: Stage, draw: random.Random, *, families: bool) -> None:
        self._stage = stage
        self._draw = draw
        self._families = families
        self._cards: list[Fault] = []
        self.dealt: set[str] = set()
        self.decks = 0

    def deal(self, most: int = 3) -> list[Fault]:
        if not self._cards:
            self._shuffle()
        count = self._draw.choice((1, 2, 2, 3)[: most + 1])
        hand: list[Fault] = []
        for card in list(self._cards):
            if len(hand) < count and not any(card.claims & held.claims for held in hand):
                self._cards.remove(card)
                hand.append(card)
        self.dealt.update(card.name for card in hand)
        return hand

    def all_dealt(self) -> bool:
        """Whether every kind (or family) has come at least once."""
        return self.decks > 1 or (self.decks == 1 and not self._cards)

    def _shuffle(self) -> None:
        self.decks += 1
        cards = all_faults(self._stage, self._draw)
        self._draw.shuffle(cards)
        if self._families:
            cards = list({card.family: card for card in cards}.values())
        self._cards = cards
