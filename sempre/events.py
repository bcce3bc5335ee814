"""Events of users' own."""

from sempre.sdk.events import emit_event

__all__ = ["emit_event"]
