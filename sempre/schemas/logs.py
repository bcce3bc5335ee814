"""Log lines of runs."""

from uuid import UUID

from sempre.schemas.base import ActionModel, DateTime, Record

__all__ = ["Log", "LogCreate"]


class LogCreate(ActionModel):
    name: str
    level: int
    message: str
    timestamp: DateTime
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


class Log(Record):
    name: str
    level: int
    message: str
    timestamp: DateTime
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
