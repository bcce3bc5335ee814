"""How long and how random: the short form for every change, the full form for `make chaos`."""

from __future__ import annotations

import os
import random
import sys

SHORT = os.environ.get("SEMPRE_CHAOS", "full") == "short"


def either(short: float, full: float) -> float:
    """The value for the form that runs."""
    return short if SHORT else full


def seeded(name: str) -> random.Random:
    """Randomness that can be had again: SEMPRE_CHAOS_SEED=n repeats the draws of a run that printed n."""
    seed = int(os.environ.get("SEMPRE_CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    say(f"{name}: SEMPRE_CHAOS_SEED={seed}")
    return random.Random(f"{name} {seed}")


def say(text: str) -> None:
    """Figures and seeds belong to the result also of a run that passes, so they go past pytest's capture."""
    print(f"\n[chaos] {text}", file=sys.__stderr__, flush=True)
