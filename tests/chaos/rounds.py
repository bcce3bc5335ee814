"""What `flows/worked.py` does in its rounds, for itself and for who checks it."""

from __future__ import annotations

WIDTH = 3


def undone(number: int) -> bool:
    """Whether the transaction of a round fails."""
    return number % 3 == 2


def first_step(number: int) -> int:
    """The number of the first of a round's mapped tasks."""
    return number * WIDTH


def first_of_part(number: int) -> int | None:
    """The number of the first task of a round's subflow; None if it has none."""
    return 100_000 + number * WIDTH if number % 3 == 1 else None


def step_key(run: str, number: int) -> str:
    return f"{run}-step-{number}"


def stage_key(run: str, number: int, part: str) -> str:
    return f"{run}-stage-{number}-{part}"


def part_key(run: str, first: int) -> str:
    return f"{run}-part-{first}"


def keys_of_round(run: str, number: int) -> set[str]:
    """Of everything whose result is kept when the round is over."""
    first, part = first_step(number), first_of_part(number)
    keys = {step_key(run, each) for each in range(first, first + WIDTH)}
    if not undone(number):
        keys |= {stage_key(run, number, each) for each in "ab"}
    return keys if part is None else keys | {part_key(run, part)}
