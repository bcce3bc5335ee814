"""The questions that people ask of a state, on whatever has a ``type``."""

__all__ = ["StateChecks"]

_FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


class StateChecks:
    """Mixed into every class of states; types are texts, so members of :class:`StateType` will do."""

    __slots__ = ()

    def _is(self, type: str) -> bool:
        return bool(getattr(self, "type", None) == type)

    def is_scheduled(self) -> bool:
        return self._is("SCHEDULED")

    def is_pending(self) -> bool:
        return self._is("PENDING")

    def is_running(self) -> bool:
        return self._is("RUNNING")

    def is_completed(self) -> bool:
        return self._is("COMPLETED")

    def is_failed(self) -> bool:
        return self._is("FAILED")

    def is_crashed(self) -> bool:
        return self._is("CRASHED")

    def is_cancelled(self) -> bool:
        return self._is("CANCELLED")

    def is_cancelling(self) -> bool:
        return self._is("CANCELLING")

    def is_paused(self) -> bool:
        return self._is("PAUSED")

    def is_final(self) -> bool:
        """The run has ended in it, one way or another."""
        return getattr(self, "type", None) in _FINAL
