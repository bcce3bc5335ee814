"""Playing canaries: many at a time, each with its own stage and its own end."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from sempre.canary.canary import Canary, CanaryFailed, CanarySkipped, Outcome, Result
from sempre.canary.stage import Stage

__all__ = ["AT_ONCE", "new_token", "play", "play_all"]

AT_ONCE = 8
_GRACE = 2.0  # seconds beyond its time until a check that hangs in a call is given up


def new_token() -> str:
    """What tells the objects of one playing from those of all others."""
    return secrets.token_hex(4)


def play(canary: Canary, token: str, seconds: float | None = None, stop: threading.Event | None = None) -> Outcome:
    """Play one canary and clear up behind it. Never raises for what the canary finds. `stop` ends it early.

    It has a thread of its own, so no flow run is around it, and one that hangs can be given up.
    """
    stage = Stage(canary.name, token, seconds or canary.seconds)
    found: list[tuple[Result, str]] = []
    began = time.monotonic()

    def check() -> None:
        try:
            stage.needs(canary.needs)
            canary.check(stage)
        except CanarySkipped as skipped:
            found.append(("skipped", str(skipped)))
        except CanaryFailed as failed:
            found.append(("failed", str(failed)))
        except Exception as error:  # the report is where it belongs
            found.append(("failed", f"{type(error).__name__}: {error}"))
        else:
            found.append(("passed", ""))

    thread = threading.Thread(target=check, name=stage.name, daemon=True)
    thread.start()
    try:
        while thread.is_alive() and stage.left > -_GRACE and not (stop and stop.is_set()):
            thread.join(0.2)
        took = time.monotonic() - began
    finally:
        stage.close()
    result, message = found[0] if found else _given_up(stage)
    return Outcome(canary.name, result, round(took, 2), message, tuple(stage.left_behind))


def _given_up(stage: Stage) -> tuple[Result, str]:
    waits = f" while it waited: {stage.waits_for}" if stage.waits_for else ""
    return "timed out", f"no end within {stage.seconds:.0f} s{waits}"


def play_all(
    canaries: Sequence[Canary],
    *,
    seconds: float | None = None,
    at_once: int = AT_ONCE,
    ended: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Play canaries, `at_once` at a time; the outcomes in their order. `ended` hears of each as it ends."""
    token = new_token()
    stop = threading.Event()
    outcomes: dict[str, Outcome] = {}
    with ThreadPoolExecutor(at_once) as pool:
        try:
            # Those that take longest first, so that nobody waits for them alone.
            order = sorted(canaries, key=lambda canary: -canary.seconds)
            futures = [pool.submit(play, canary, token, seconds, stop) for canary in order]
            for future in as_completed(futures):
                outcome = future.result()
                outcomes[outcome.name] = outcome
                ended(outcome)
        except BaseException:  # an interrupt: what plays is ended, and clears up
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [outcomes[canary.name] for canary in canaries]
