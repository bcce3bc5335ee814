"""Log lines of runs."""

from uuid import UUID

from pydantic.json_schema import SkipJsonSchema

from sempre.schemas.base import ActionModel, DateTime, Record

__all__ = ["Log", "LogCreate"]


class LogCreate(ActionModel):
    # Made by the client: a line that is sent again with its id and timestamp is stored once.
    id: UUID | None = None
    name: str
    level: int
    message: str
    timestamp: DateTime
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    # Sent by workers that were told their id (worker_channel). A line belongs to its run; the id is not kept.
    worker_id: SkipJsonSchema[UUID | None] = None


class Log(Record):
    name: str
    level: int
    message: str
    timestamp: DateTime
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
