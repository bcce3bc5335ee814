"""When each service last completed a round, and whether its loop hangs."""

import time

__all__ = ["LATE_SECONDS", "Pulse"]

LATE_SECONDS = 60.0  # beyond what its round may take, before a loop counts as hanging


class Pulse:
    """Each service is told of at least every ``LATE_SECONDS``, but for a round that is known to go on."""

    def __init__(self) -> None:
        self._completed: dict[str, float] = {}
        self._alive: dict[str, float] = {}
        self._allowed: dict[str, float] = {}

    def completed(self, service: str) -> None:
        """It did a round, or found that another replica sees to it."""
        self._completed[service] = time.monotonic()
        self.waiting(service)

    def waiting(self, service: str) -> None:
        """Its loop turns, for what that is worth: the database may be away."""
        self._completed.setdefault(service, time.monotonic())
        self._alive[service] = time.monotonic()
        self._allowed[service] = LATE_SECONDS

    def begun(self, service: str, longest: float) -> None:
        """A round began that may take ``longest`` seconds."""
        self.waiting(service)
        self._allowed[service] = LATE_SECONDS + longest

    def ages(self) -> dict[str, float]:
        """Seconds since each service completed a round here, or another replica was found to see to it."""
        now = time.monotonic()
        return {service: now - at for service, at in self._completed.items()}

    def late(self) -> dict[str, float]:
        """Seconds without a sign of those that hang or are dead. To wait for the database is neither, as whoever
        restarts processes for that keeps them from coming back when it does."""
        now = time.monotonic()
        silent = {service: now - at for service, at in self._alive.items()}
        return {service: seconds for service, seconds in silent.items() if seconds > self._allowed[service]}
