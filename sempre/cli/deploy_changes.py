"""What the flags of `sempre deploy` change of a deployment that a file describes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sempre.cli.errors import CliError
from sempre.cli.moments import parse_duration, parse_time
from sempre.cli.values import parse_object, parse_pairs, read_document

__all__ = ["Changes"]


@dataclass(frozen=True)
class Changes:
    """The flags as they were typed; None where one was not given."""

    pool: str | None = None
    work_queue: str | None = None
    job_variables: list[str] | None = None
    description: str | None = None
    version: str | None = None
    version_type: str | None = None
    tags: list[str] | None = None
    concurrency_limit: int | None = None
    collision_strategy: str | None = None
    cron: list[str] | None = None
    interval: list[str] | None = None
    anchor_date: str | None = None
    rrule: list[str] | None = None
    timezone: str | None = None
    triggers: list[str] | None = None
    param: list[str] | None = None
    params: str | None = None
    enforce_parameter_schema: bool | None = None

    @property
    def flags(self) -> list[str]:
        given = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        return [f"--{name.replace('_', '-').removesuffix('s') if name != 'params' else name}" for name in given]

    def __bool__(self) -> bool:
        return bool(self.flags)

    def onto(self, described: dict[str, Any]) -> dict[str, Any]:
        """The deployment with what was typed in place of what was written. Raises CliError."""
        changed = dict(described)
        pool = {**(changed.get("work_pool") or {})}
        pool |= _given(name=self.pool, work_queue_name=self.work_queue)
        if self.job_variables:
            typed = parse_pairs(self.job_variables, "--job-variable")
            pool["job_variables"] = {**(pool.get("job_variables") or {}), **typed}
        if pool:
            changed["work_pool"] = pool
        changed |= _given(
            description=self.description,
            version=self.version,
            version_type=self.version_type,
            tags=self.tags,
            enforce_parameter_schema=self.enforce_parameter_schema,
            concurrency_limit=self._limit(),
            triggers=self._triggers(),
        )
        if self.params is not None or self.param:
            typed = {**(parse_object(self.params, "--params") if self.params else {})}
            typed |= parse_pairs(self.param, "--param")
            changed["parameters"] = {**(changed.get("parameters") or {}), **typed}
        schedules = self._schedules()
        if schedules:
            changed.pop("schedule", None)
            changed["schedules"] = schedules
        return changed

    def _limit(self) -> Any:
        if self.collision_strategy is None:
            return self.concurrency_limit
        if self.concurrency_limit is None:
            raise CliError("--collision-strategy goes with --concurrency-limit.")
        return {"limit": self.concurrency_limit, "collision_strategy": self.collision_strategy.upper()}

    def _schedules(self) -> list[dict[str, Any]]:
        if sum(each is not None for each in (self.cron, self.interval, self.rrule)) > 1:
            raise CliError("Only one of --cron, --interval and --rrule can say when to run.")
        if self.anchor_date and not self.interval:
            raise CliError("--anchor-date goes with --interval.")
        zone = _given(timezone=self.timezone)
        anchor = {"anchor_date": parse_time(self.anchor_date).isoformat()} if self.anchor_date else {}
        return [
            *({"cron": each, **zone} for each in self.cron or ()),
            *({"interval": parse_duration(each).total_seconds(), **anchor, **zone} for each in self.interval or ()),
            *({"rrule": each, **zone} for each in self.rrule or ()),
        ]

    def _triggers(self) -> list[Any] | None:
        """A file may have one trigger, a list, or a list below `triggers`."""
        if self.triggers is None:
            return None
        found: list[Any] = []
        for text in self.triggers:
            is_file = text.endswith((".json", ".yaml", ".yml"))
            document = read_document(Path(text)) if is_file else parse_object(text, "--trigger")
            if isinstance(document, dict) and isinstance(document.get("triggers"), list) and len(document) == 1:
                document = document["triggers"]
            found += document if isinstance(document, list) else [document]
        return found


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
