"""How long and how random: the short form for every change, the full form for `make chaos`."""

from __future__ import annotations

import os
import random

import pytest

SHORT = os.environ.get("SEMPRE_CHAOS", "full") == "short"
in_full_form = pytest.mark.skipif(SHORT, reason="in the full form")
"""For what every change need not wait for: tests of the auditor itself, and what the storm covers as well."""


def either(short: float, full: float) -> float:
    """The value for the form that runs."""
    return short if SHORT else full


def chaos_seconds(*, short: float, full: float) -> float:
    """How long faults go on; SEMPRE_CHAOS_SECONDS overrides both forms."""
    named = os.environ.get("SEMPRE_CHAOS_SECONDS")
    return float(named) if named else either(short, full)


def seed_of(name: str) -> int:
    """A seed that can be had again: SEMPRE_CHAOS_SEED=n repeats the draws of a run that printed n."""
    seed = int(os.environ.get("SEMPRE_CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    say(f"{name}: SEMPRE_CHAOS_SEED={seed}")
    return seed


def seeded(name: str) -> random.Random:
    """Randomness from `seed_of`, different for every name."""
    return random.Random(f"{name} {seed_of(name)}")


figures: list[str] = []
"""What the tests found, for the end of the session (conftest.py)."""


def say(text: str) -> None:
    """Figures and seeds are part of the result also of a run that passes. Printed now too, for one that fails."""
    figures.append(text)
    print(f"[chaos] {text}", flush=True)
