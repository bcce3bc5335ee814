"""How often a flow run gives a sign of life, learned from the signs themselves.

Nobody tells how often a run's process means to send a heartbeat, and more than one process may send them for one run.
So what counts is the longest pause of late: it grows at once, and shrinks a little with every heartbeat.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

__all__ = ["Pulse", "pulse_after"]

# How much of the longest pause stays when a shorter one follows. More than half, so that two senders whose heartbeats
# come in pairs are not taken for one that sends them in quick succession.
_KEPT = 0.75
# A pause that a clock made by jumping is not taken for longer than this, in seconds.
_LONGEST = 86400.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """``heard``: when the newest heartbeat came in; ``beat``: when it was sent, by its sender's clock; ``gap``: seconds
    from one to the next."""

    heard: datetime
    beat: datetime
    gap: float


def pulse_after(pulse: Pulse | None, heartbeats: Iterable[tuple[datetime, datetime]], assumed: float) -> Pulse | None:
    """The pulse after more heartbeats, each ``(sent, came in)``, in any order. ``assumed`` is the gap in seconds of a
    run of which only one is known. ``None`` if there never was any."""
    for sent, came_in in sorted(heartbeats):
        if pulse is None:
            pulse = Pulse(came_in, sent, assumed)
            continue
        heard, pause = max(pulse.heard, came_in), (sent - pulse.beat).total_seconds()
        if pause <= 0:
            pulse = Pulse(heard, pulse.beat, pulse.gap)  # it was overtaken on its way
        else:
            pulse = Pulse(heard, sent, max(min(pause, _LONGEST), _KEPT * pulse.gap))
    return pulse
