"""What a list of schedules in a deployment's update means for the schedules it has. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sempre.core.schedules import RRuleSchedule, normalize_rrule, to_json
from sempre.schemas.deployments import DeploymentScheduleCreate, DeploymentScheduleUpdate
from sempre.schemas.schedules import Schedule
from sempre.server.errors import Unprocessable

__all__ = ["NewSchedule", "SchedulePatch", "SchedulePlan", "new_schedule", "patch_of", "plan_update", "stored_form"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    schedule: dict[str, Any]
    active: bool = True
    max_scheduled_runs: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    slug: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePatch:
    """Changes of one schedule; ``None`` = as it is."""

    id: UUID
    schedule: dict[str, Any] | None = None
    active: bool | None = None
    max_scheduled_runs: int | None = None
    parameters: dict[str, Any] | None = None
    slug: str | None = None


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """``replace_all``: everything that is there goes first."""

    replace_all: bool = False
    create: list[NewSchedule] = field(default_factory=list)
    patch: list[SchedulePatch] = field(default_factory=list)


def stored_form(schedule: Schedule, now: datetime) -> dict[str, Any]:
    """The schedule as it is stored: a recurrence rule is pinned to a start, once and for all."""
    value = schedule.to_core()
    if isinstance(value, RRuleSchedule):
        value = RRuleSchedule(normalize_rrule(value.rrule, value.timezone, now), value.timezone)
    return to_json(value)


def new_schedule(sent: DeploymentScheduleCreate, now: datetime, *, keep_maximum: bool) -> NewSchedule:
    """``keep_maximum``: only the calls on single schedules store ``max_scheduled_runs``."""
    return NewSchedule(
        schedule=stored_form(sent.schedule, now),
        active=sent.active,
        max_scheduled_runs=sent.max_scheduled_runs if keep_maximum else None,
        parameters=sent.parameters,
        slug=sent.slug,
    )


def patch_of(id: UUID, sent: DeploymentScheduleUpdate, now: datetime) -> SchedulePatch:
    """Null clears nothing. Parameters that were not sent stay: pausing a schedule must not change what it runs."""
    return SchedulePatch(
        id=id,
        schedule=stored_form(sent.schedule, now) if sent.schedule is not None else None,
        active=sent.active,
        max_scheduled_runs=sent.max_scheduled_runs,
        parameters=sent.parameters if "parameters" in sent.model_fields_set else None,
        slug=sent.slug,
    )


def plan_update(
    existing: Sequence[Mapping[str, Any]],
    provided: Sequence[DeploymentScheduleUpdate],
    *,
    sent: bool,
    now: datetime,
) -> SchedulePlan:
    """Where all schedules have slugs they are matched by them and those not named stay; elsewhere a list replaces all.

    ``existing`` needs ``id`` and ``slug``; ``sent``: the request has the key at all. Raises Unprocessable.
    """
    if not existing or not all(row["slug"] for row in existing):
        if not sent:
            return SchedulePlan()
        return SchedulePlan(replace_all=True, create=[_created(p, now) for p in provided if p.schedule is not None])
    if not all(p.slug for p in provided):
        raise Unprocessable(
            "Please provide a slug for each schedule in your request to ensure schedules are updated correctly."
        )
    ids = {str(row["slug"]): UUID(str(row["id"])) for row in existing}
    _check_renames(provided, ids)
    create: list[NewSchedule] = []
    patch: dict[UUID, SchedulePatch] = {}
    for p in provided:
        target = ids.get(p.replaces or p.slug or "")
        if target is not None:
            patch[target] = patch_of(target, p, now)
        elif p.schedule is not None:
            create.append(_created(p, now, keep_maximum=True))
        else:
            raise Unprocessable("Unable to create new deployment schedules without a schedule configuration.")
    return SchedulePlan(create=create, patch=list(patch.values()))


def _check_renames(provided: Sequence[DeploymentScheduleUpdate], ids: Mapping[str, UUID]) -> None:
    replaced = Counter(p.replaces for p in provided if p.replaces)
    for slug, times in replaced.items():
        if times > 1:
            raise Unprocessable(f"Multiple schedules have 'replaces' targeting the same slug: {slug}")
    for p in provided:
        if p.replaces and p.slug in ids and p.slug not in replaced:
            raise Unprocessable(
                f"Cannot rename schedule from '{p.replaces}' to '{p.slug}': "
                f"a schedule with slug '{p.slug}' already exists."
            )


def _created(sent: DeploymentScheduleUpdate, now: datetime, *, keep_maximum: bool = False) -> NewSchedule:
    assert sent.schedule is not None
    return NewSchedule(
        schedule=stored_form(sent.schedule, now),
        active=True if sent.active is None else sent.active,
        max_scheduled_runs=sent.max_scheduled_runs if keep_maximum else None,
        parameters=sent.parameters,
        slug=sent.slug,
    )
