"""Jitter for waits: an exponential variate kept close to its mean."""

import math

__all__ = ["clamped_exponential"]

_UNBOUNDED_BELOW = 50.0  # beyond this multiple of the mean the lower bound is indistinguishable from zero


def clamped_exponential(draw: float, mean: float, factor: float) -> float:
    """Turn a uniform ``draw`` in [0, 1) into a wait (same unit as ``mean``).

    The wait follows an exponential distribution of the given mean, restricted to
    ``[mean * low, mean * (1 + factor)]`` where ``low`` is chosen such that both tails cut off weigh the same
    on the median (factor 0.3 gives 0.752 .. 1.3, factor 0.5 gives 0.63 .. 1.5). A mean that is not positive gives 0.

    Raises ``ValueError`` for a negative factor or a draw outside [0, 1].
    """
    if not 0.0 <= draw <= 1.0:
        raise ValueError("draw must lie in [0, 1]")
    if not factor >= 0.0:
        raise ValueError("factor must not be negative")
    if mean <= 0.0:
        return 0.0
    high = 1.0 + factor
    low = _lower_bound(high)
    # Survival values instead of CDF values: exact where the CDF would round to one.
    survival = math.exp(-low) + draw * (math.exp(-high) - math.exp(-low))
    drawn = -math.log(survival) if survival > 0.0 else high
    return mean * min(max(drawn, low), high)


def _lower_bound(high: float) -> float:
    if high >= _UNBOUNDED_BELOW:
        return 0.0
    power: float = 2.0**high
    return math.log2(power / (power - 1.0))
