"""Filters on logs."""

from uuid import UUID

from pydantic import Field

from sempre.schemas.base import FilterModel
from sempre.schemas.filters.common import AnyOf, Combined, Window

__all__ = [
    "LogFilter",
    "LogFilterFlowRunId",
    "LogFilterLevel",
    "LogFilterTaskRunId",
    "LogFilterTextSearch",
    "LogFilterTimestamp",
]


class LogFilterLevel(FilterModel):
    ge_: int | None = None
    le_: int | None = None


class LogFilterTimestamp(Window):
    pass


class LogFilterFlowRunId(AnyOf[UUID]):
    pass


class LogFilterTaskRunId(AnyOf[UUID]):
    is_null_: bool | None = None


class LogFilterTextSearch(FilterModel):
    """Words and ``"phrases"``: any of them, ``+`` required, ``-`` or ``!`` excluded."""

    query: str = Field(max_length=200)


class LogFilter(Combined):
    level: LogFilterLevel | None = None
    timestamp: LogFilterTimestamp | None = None
    flow_run_id: LogFilterFlowRunId | None = None
    task_run_id: LogFilterTaskRunId | None = None
    text: LogFilterTextSearch | None = None
