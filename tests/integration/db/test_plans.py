"""Plans of the hot statements on tables without statistics: one row by its key, whatever the tables will hold."""

import asyncpg
import pytest

from sempre.db.statement import Statement
from sempre.server.flow_runs import statements as flow_runs
from sempre.server.task_runs import statements as task_runs
from tests.support.database import Database

_PLAIN = {"result": False, "take": False, "renew": False, "hold": False, "free": False}
_STATEMENTS = {
    "read a flow run": (flow_runs.LOAD, {"flow_run_pkey", "task_run_pkey"}),
    "move a flow run": (flow_runs.write_transition(**_PLAIN, mirror=False), {"flow_run_pkey"}),
    "move a subflow": (flow_runs.write_transition(**_PLAIN, mirror=True), {"flow_run_pkey", "task_run_pkey"}),
    "read a task run": (task_runs.LOAD, {"flow_run_pkey", "task_run_pkey"}),
}


@pytest.mark.parametrize("what", _STATEMENTS)
async def test_runs_are_found_by_their_keys_before_anything_is_known_of_the_tables(
    database: Database, what: str
) -> None:
    statement, keys = _STATEMENTS[what]
    plan = await _generic_plan(database, statement)
    used = {name for name in ("flow_run_pkey", "task_run_pkey") if f"using {name} on" in plan}
    assert used == keys, plan
    assert "Seq Scan on flow_run" not in plan
    assert "Seq Scan on task_run" not in plan
    lines = plan.splitlines()
    for number, line in enumerate(lines):
        if "task_run_state_pkey" in line:
            assert "(id = " in lines[number + 1], plan


async def _generic_plan(database: Database, statement: Statement) -> str:
    connection = await asyncpg.connect(database.url, server_settings={"plan_cache_mode": "force_generic_plan"})
    try:
        await connection.execute(f"PREPARE planned AS {statement.sql}")
        nothing = ", ".join(["NULL"] * len(statement.names))
        rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE planned({nothing})")
    finally:
        await connection.close()
    return "\n".join(row[0] for row in rows)
