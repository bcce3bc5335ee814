"""Pauses nobody resumed."""

from __future__ import annotations

from sempre.core.states import StateDetails, StateType
from sempre.server.scope import Scope
from sempre.server.services import pause_expirations
from tests.integration.services.runs import at, flow_run, history, message, move, together


async def test_expired_pauses_fail_once(scope: Scope, replica: Scope) -> None:
    expired, suspended, patient, endless = [await flow_run(scope) for _ in range(4)]
    for run, name, timeout in (
        (expired, "Paused", at(-1)),
        (suspended, "Suspended", at(-3600)),
        (patient, "Paused", at(3600)),
        (endless, "Paused", None),
    ):
        await move(scope, run, StateType.PAUSED, name, details=StateDetails(pause_timeout=timeout))
    await together(pause_expirations.run, scope, replica)
    assert await history(scope, expired) == ["Pending", "Paused", "Failed"]
    assert await history(scope, suspended) == ["Pending", "Suspended", "Failed"]
    assert await message(scope, expired) == "The flow was paused and never resumed."
    assert await history(scope, patient) == ["Pending", "Paused"]
    assert await history(scope, endless) == ["Pending", "Paused"]
