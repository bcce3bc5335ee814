"""The log filter in memory, for the live feed."""

from collections.abc import Callable, Mapping
from typing import Any

from sempre.core import text_search
from sempre.schemas.filters.common import Operator
from sempre.schemas.filters.logs import LogFilter

__all__ = ["Matcher", "matcher"]

# Takes a log line as a mapping of the columns of `log`.
Matcher = Callable[[Mapping[str, Any]], bool]


def matcher(filter: LogFilter) -> Matcher:
    """A predicate on log lines; the filter's members are joined as its operator says."""
    checks = _checks(filter)
    if checks and filter.operator is Operator.or_:
        return lambda line: any(check(line) for check in checks)
    return lambda line: all(check(line) for check in checks)


def _checks(filter: LogFilter) -> list[Matcher]:
    checks: list[Matcher] = []
    if level := filter.level:
        checks.append(lambda line: _between(line["level"], level.ge_, level.le_))
    if timestamp := filter.timestamp:
        checks.append(lambda line: _between(line["timestamp"], timestamp.after_, timestamp.before_))
    if flow := filter.flow_run_id:
        flow_run_ids = None if flow.any_ is None else frozenset(flow.any_)
        checks.append(lambda line: flow_run_ids is None or line["flow_run_id"] in flow_run_ids)
    if task := filter.task_run_id:
        task_run_ids = None if task.any_ is None else frozenset(task.any_)
        checks.append(
            lambda line: (
                (task_run_ids is None or line["task_run_id"] in task_run_ids)
                and (task.is_null_ is None or (line["task_run_id"] is None) is task.is_null_)
            )
        )
    if filter.text:
        terms = text_search.parse(filter.text.query)
        checks.append(lambda line: text_search.matches(terms, f"{line['message']} {line['name']}"))
    return checks


def _between(value: Any, low: Any, high: Any) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)
