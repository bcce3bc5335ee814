"""What the sweeping services share."""

from __future__ import annotations

from typing import Any

import pytest

from sempre.core.states import StateType
from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Record
from sempre.server.scope import Scope
from sempre.server.services import sweeps
from tests.integration.services.runs import flow_run, history, move

_PENDING = "SELECT id, workspace_id FROM flow_run WHERE state_type = 'PENDING' AND name = 'run' ORDER BY id LIMIT $1"


async def test_what_cannot_be_moved_keeps_nobody(
    scope: Scope, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sweeps, "_PAGE", 2)
    ids = [await flow_run(scope) for _ in range(9)]
    poison = set(ids[:5])  # more than two pages of them, and first in order
    tried: list[Any] = []

    async def complete(here: Scope, row: Record) -> bool:
        tried.append(row["id"])
        if row["id"] in poison:
            raise ValueError("poison")
        await move(here, row["id"], StateType.COMPLETED)
        return True

    await sweeps.sweep(scope, _PENDING, complete)
    assert [await history(scope, id) for id in ids] == [["Pending"]] * 5 + [["Pending", "Completed"]] * 4
    assert len(tried) == len(set(tried))
    assert caplog.text.count("could not be moved") == 5
    for id in poison:
        await move(scope, id, StateType.COMPLETED)


async def test_the_absence_of_the_database_ends_the_round(scope: Scope) -> None:
    ids = [await flow_run(scope) for _ in range(3)]

    async def away(here: Scope, row: Record) -> bool:
        raise DatabaseUnavailable("away")

    with pytest.raises(DatabaseUnavailable):
        await sweeps.sweep(scope, _PENDING, away)
    for id in ids:
        await move(scope, id, StateType.COMPLETED)
