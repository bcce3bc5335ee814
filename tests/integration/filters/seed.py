"""Two workspaces full of everything that can be listed, written straight into the tables and read back as rows.

The second one mirrors the first and uses its ids wherever a table allows the same id twice: what leaks, shows.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sempre.server.blocks.encryption import cipher_of
from sempre.server.scope import DEFAULT_WORKSPACE, Scope

OTHER = UUID(int=1)
EMPTY = UUID(int=2)

START = datetime(2026, 3, 1, tzinfo=UTC)
TAGS: tuple[list[str], ...] = ([], ["x"], ["x", "y"], ["y", "z"], ["Z"])
STATES = (
    ("SCHEDULED", "Scheduled"), ("SCHEDULED", "Late"), ("PENDING", "Pending"), ("RUNNING", "Running"),
    ("COMPLETED", "Completed"), ("FAILED", "Failed"), ("FAILED", "TimedOut"), (None, None),
)  # fmt: skip
LISTED = (
    "flow", "work_pool", "work_queue", "worker", "deployment", "flow_run", "task_run", "artifact",
    "artifact_collection", "variable", "automation", "block_type", "block_schema", "block_document", "log",
    "saved_search", "concurrency_limit",
)  # fmt: skip

Row = dict[str, Any]


def hours(number: int) -> datetime:
    return START + timedelta(hours=number)


class Seed:
    """Makes the rows of one workspace. ``shared`` ids are the same in every workspace."""

    def __init__(self, scope: Scope, workspace_id: UUID) -> None:
        self._scope = scope
        self._workspace_id = workspace_id

    def id(self, kind: str, number: int) -> UUID:
        """Ids that are neither in order of time nor of their numbers."""
        space = START.isoformat() if kind == "task_run" else str(self._workspace_id)
        return uuid5(UUID(int=7), f"{space} {kind} {number}")

    async def add(self, table: str, number: int, **columns: Any) -> UUID:
        row = {"id": self.id(table, number), "workspace_id": self._workspace_id, **columns}
        if table != "log":  # some rows were made in the same instant
            row.setdefault("created", hours(number // 2))
            row.setdefault("updated", hours(100 - number // 3))
        names = ", ".join(row)
        values = ", ".join(f"${position}" for position in range(1, len(row) + 1))
        await self._scope.db.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", *row.values())
        id: UUID = row["id"]
        return id

    async def everything(self) -> None:
        await self.places()
        await self.runs()
        await self.left_behind()
        await self.blocks()
        await self.others()

    async def places(self) -> None:
        for number, name in enumerate(("flow_a", "flowXa", "Flow b", "other", "lonely")):
            await self.add("flow", number, name=f"{number} {name}", tags=TAGS[number])
        for number, type in enumerate(("process", "docker", "process")):
            await self.add("work_pool", number, name=f"pool-{number}", type=type)
        for number, name in enumerate(("default", "Fast_1", "fastX1", "default", "slow")):
            pool = self.id("work_pool", number // 3)
            await self.add("work_queue", number, work_pool_id=pool, name=name, priority=5 - number)
            status = "ONLINE" if number % 2 else "OFFLINE"
            await self.add(
                "worker",
                number,
                work_pool_id=self.id("work_pool", 0),
                name=f"w{number}",
                status=status,
                last_heartbeat_time=hours(number // 2),
            )
        for number in range(6):
            queue = self.id("work_queue", number) if number < 4 else None
            queue_name = ("default", "Fast_1", "fastX1", "default", "gone", None)[number]
            await self.add(
                "deployment",
                number,
                name=f"{number % 4} dep_{'aAb'[number % 3]}",
                tags=TAGS[number % 5],
                flow_id=self.id("flow", number % 4),
                paused=number % 3 == 0,
                work_queue_id=queue,
                work_queue_name=queue_name,
            )

    async def runs(self) -> None:
        creators = (None, {"id": str(self.id("automation", 0)), "type": "AUTOMATION"}, {"id": None, "type": "SCHEDULE"})
        for number in range(24):
            type, name = STATES[number % 8]
            started = hours(number + 1) if number % 8 > 2 else None
            await self.add(
                "flow_run",
                number,
                name=f"{number // 3} run_{'aXb'[number % 3]}",
                flow_id=self.id("flow", number % 4),
                tags=TAGS[number % 5],
                state_type=type,
                state_name=name,
                state_timestamp=hours(number),
                deployment_id=self.id("deployment", number % 6) if number % 4 else None,
                work_queue_id=self.id("work_queue", number % 5) if number % 3 else None,
                work_queue_name=("default", "Fast_1", None)[number % 3],
                flow_version=(None, "1", "2")[number % 3],
                idempotency_key=f"key {number}" if number % 2 else None,
                created_by=creators[number % 3],
                parent_task_run_id=self.id("task_run", number // 2) if number in (6, 7, 9, 14) else None,
                expected_start_time=hours(number // 2) if number % 7 else None,
                start_time=started,
                next_scheduled_start_time=hours(number // 2) if type == "SCHEDULED" else None,
                end_time=hours(number + 2) if number % 8 in (4, 5, 6) else None,
            )
        for number in range(24):
            type, name = STATES[(number + 3) % 8]
            await self.add(
                "task_run",
                number,
                name=f"{number // 3} task_{'aXb'[number % 3]}",
                task_key="t",
                dynamic_key=str(number),
                flow_run_id=self.id("flow_run", number // 2) if number % 5 else None,
                tags=TAGS[number % 5],
                state_type=type,
                state_name=name,
                state_timestamp=hours(number),
                expected_start_time=hours(number // 2) if number % 7 else None,
                next_scheduled_start_time=hours(number // 4) if type == "SCHEDULED" else None,
                start_time=hours(number + 1) if number % 3 else None,
                end_time=hours(number + 2) if number % 4 else None,
            )

    async def left_behind(self) -> None:
        for number in range(10):
            of_run = {
                "flow_run_id": self.id("flow_run", number) if number % 4 else None,
                "task_run_id": self.id("task_run", number) if number % 3 else None,
                "type": (None, "table", "markdown")[number % 3],
            }
            id = await self.add("artifact", number, key=(None, "key_a", "keyXa", "other")[number % 4], **of_run)
            await self.add(
                "artifact_collection", number, key=f"{number} {('key_a', 'keyXa')[number % 2]}", latest_id=id, **of_run
            )
            await self.add(
                "log",
                number,
                timestamp=hours(number // 2),
                name=("flow_runs", "task_runs")[number % 2],
                level=number % 4 * 10,
                message=("An error occurred", "time out 50%", "all_well api", "debug")[number % 4],
                flow_run_id=of_run["flow_run_id"],
                task_run_id=of_run["task_run_id"],
            )

    async def blocks(self) -> None:
        capabilities: tuple[list[str], ...] = (["read", "write"], ["read"], [], ["write"])
        for number in range(4):
            await self.add("block_type", number, name=f"{number // 2} type_{'aX'[number % 2]}", slug=f"slug-{number}")
        for number in range(4):
            await self.add(
                "block_schema",
                number,
                checksum=f"c{number}",
                version=f"{number % 2}.0",
                fields={},
                capabilities=capabilities[number],
                block_type_id=self.id("block_type", number // 2),
            )
        data = (await cipher_of(replace(self._scope, workspace_id=self._workspace_id))).encrypt({})
        for number in range(8):
            schema = number % 3
            await self.add(
                "block_document",
                number,
                name=f"{number} doc_{'aXb'[number % 3]}",
                data=data,
                is_anonymous=number % 4 == 0,
                block_type_id=self.id("block_type", schema // 2),
                block_schema_id=self.id("block_schema", schema),
            )

    async def others(self) -> None:
        for number in range(7):
            name = f"{number} name_{'aXb'[number % 3]}"
            await self.add("variable", number, name=name, value=number, tags=TAGS[number % 5])
            await self.add("automation", number, name=f"{number // 2} name", trigger={}, tags=TAGS[number % 5])
            await self.add("saved_search", number, name=name)
            await self.add("concurrency_limit", number, name=("tag:" if number % 2 else "") + name, slot_limit=number)


async def seed(scope: Scope) -> None:
    """Fill the default workspace and a second one; a third stays empty."""
    for id, handle in ((OTHER, "other"), (EMPTY, "empty")):
        await scope.db.execute("INSERT INTO workspace (id, handle, name) VALUES ($1, $2, $2)", id, handle)
    for id in (DEFAULT_WORKSPACE, OTHER):
        await Seed(scope, id).everything()


async def rows_of(scope: Scope, workspace_id: UUID) -> dict[str, list[Row]]:
    """Everything that is in a workspace, by table, ids as texts."""
    found = {}
    for table in LISTED:
        rows = await scope.db.fetch(f"SELECT * FROM {table} WHERE workspace_id = $1", workspace_id)
        found[table] = [{k: str(v) if isinstance(v, UUID) else v for k, v in row.items()} for row in rows]
    return found
