"""Whether a call that failed is made again, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["RETRIED", "RetryRules", "pause_before_retry", "retry_after"]

RETRIED = frozenset({408, 429, 502, 503, 504})
"""Statuses that mean "not now". 504 is a balancer's word for an answer that did not come in time: calls of ours are
safe to repeat, so it is among them."""

_FIRST_SECONDS = 0.25
_LONGEST_SECONDS = 8.0
_JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """`patience` is how many seconds after its first attempt a call is still repeated; `extra_codes` are further
    statuses to repeat on. With `heed_maintenance` a server that says it is being maintained is waited for without
    limit."""

    patience: float
    extra_codes: frozenset[int] = frozenset()
    heed_maintenance: bool = True


def pause_before_retry(
    rules: RetryRules,
    *,
    status: int | None,
    headers: Mapping[str, str],
    attempt: int,
    elapsed: float,
    draw: float,
    now: datetime,
) -> float | None:
    """Seconds to wait before the next attempt; None: give up.

    `status` is None when there was no answer. `headers` have lower-case names. `attempt` counts from 0, `elapsed` is
    seconds since the first attempt began, `draw` is uniform in [0, 1). The last attempt comes when patience ends,
    not before.
    """
    if status is not None and status not in RETRIED and status not in rules.extra_codes:
        return None
    asked = retry_after(headers.get("retry-after"), now)
    if asked is None:
        base = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(attempt, 10))
        pause = base * (1 - _JITTER + 2 * _JITTER * draw)
    else:
        pause = asked * (1 + _JITTER * draw)
    if status is not None and rules.heed_maintenance and headers.get("prefect-maintenance", "").lower() == "true":
        return pause
    if elapsed >= rules.patience:
        return None
    return min(pause, rules.patience - elapsed)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks for, as a number or an HTTP date; None without one that can be read."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    if seconds != seconds or seconds == float("inf"):
        return None
    return max(0.0, seconds)
