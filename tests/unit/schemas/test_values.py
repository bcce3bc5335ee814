"""Value rules that a JSON schema cannot say: times, names, labels, states, runs, deployments, schedules."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from sempre.core.states import StateDetails as CoreDetails
from sempre.core.states import StateType
from sempre.schemas import limits
from sempre.schemas.artifacts import ArtifactCreate
from sempre.schemas.base import DateTime, Duration, Labels
from sempre.schemas.blocks import BlockDocumentCreate, BlockTypeCreate
from sempre.schemas.concurrency import ConcurrencyLimitV2Create, ConcurrencyOptions
from sempre.schemas.deployments import (
    DeploymentCreate,
    DeploymentScheduleCreate,
    DeploymentUpdate,
)
from sempre.schemas.filters.blocks import BlockDocumentFilter
from sempre.schemas.filters.flow_runs import FlowRunFilter
from sempre.schemas.filters.task_runs import TaskRunFilter
from sempre.schemas.flow_runs import FlowRunCreate, FlowRunPolicy, FlowRunUpdate
from sempre.schemas.flows import Flow, FlowCreate
from sempre.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule, Schedule
from sempre.schemas.states import State, StateCreate, StateDetails
from sempre.schemas.task_runs import TaskRunCreate, TaskRunPolicy, TaskRunUpdate
from sempre.schemas.variables import VariableCreate
from sempre.schemas.work_pools import WorkPoolCreate, WorkPoolUpdate
from sempre.server.filters.conditions import given

ID = UUID("019375f0-0000-7000-8000-000000000001")
NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def complaint(model: type[BaseModel], **body: Any) -> tuple[tuple[str | int, ...], str]:
    """Where and why the body is refused (its first error)."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(body)
    first = caught.value.errors()[0]
    return first["loc"], first["msg"]


@pytest.fixture
def small_limits() -> Iterator[limits.Limits]:
    before = limits.current()
    small = limits.Limits(parameter_bytes=20, cache_key=5, retry_delays=2, variable_value=10, metadata_value=3)
    limits.use(small)
    yield small
    limits.use(before)


# --- times ---------------------------------------------------------------------------------------------

MOMENT: TypeAdapter[datetime] = TypeAdapter(DateTime)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2026-01-01T12:00:00Z", NOON),
        ("2026-01-01T12:00:00+00:00", NOON),
        ("2026-01-01T14:00:00+02:00", NOON),
        ("2026-01-01T12:00:00", NOON),
        ("2026-01-01 12:00:00", NOON),
        ("2026-01-01", NOON.replace(hour=0)),
        ("2026-01-01T12:00:00.123456789Z", NOON.replace(microsecond=123456)),
        ("2026-01-01T12:00:00.9999999Z", NOON.replace(microsecond=999999)),
        (1767268800, NOON),
        (1767268800.5, NOON.replace(microsecond=500000)),
        ("1767268800", NOON),
        (1767268800000, NOON),
        ("1767268800000", NOON),
        (datetime(2026, 1, 1, 12), NOON),  # noqa: DTZ001
        (datetime(2026, 1, 1, 7, tzinfo=ZoneInfo("America/New_York")), NOON),
    ],
)
def test_times_in(given: object, meant: datetime) -> None:
    found = MOMENT.validate_python(given)
    assert (found, found.utcoffset()) == (meant, timedelta(0))


@pytest.mark.parametrize("given", ["", "PT1H", "soon", None, {}, "0001-01-01T00:00:00+05:00", "2026-13-01"])
def test_times_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(given)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOON, "2026-01-01T12:00:00Z"),
        (NOON.replace(microsecond=120000), "2026-01-01T12:00:00.120000Z"),
        (datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T12:00:00Z"),
    ],
)
def test_times_out(moment: datetime, text: str) -> None:
    flow = Flow(id=ID, created=moment, updated=None, name="f")
    assert json.loads(flow.model_dump_json())["created"] == text
    assert list(json.loads(flow.model_dump_json())) == ["id", "created", "updated", "name", "tags", "labels"]


@pytest.mark.parametrize("given", [3600, 3600.0, "PT1H", "01:00:00", timedelta(hours=1)])
def test_durations(given: object) -> None:
    adapter: TypeAdapter[timedelta] = TypeAdapter(Duration)
    value = adapter.validate_python(given)
    assert (value, adapter.dump_json(value)) == (timedelta(hours=1), b"3600.0")


# --- names and labels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a/b", "100%", "a&b", "<a>"])
def test_names_refused(name: str) -> None:
    assert complaint(FlowCreate, name=name)[0] == ("name",)
    assert complaint(BlockTypeCreate, name=name, slug="ok")[0] == ("name",)
    assert complaint(ConcurrencyLimitV2Create, name=name, limit=1)[0] == ("name",)
    if name:
        assert complaint(DeploymentCreate, name=name, flow_id=ID)[0] == ("name",)


def test_a_deployment_may_have_an_empty_name() -> None:
    assert DeploymentCreate(name="", flow_id=ID).name == ""


@pytest.mark.parametrize("name", ["", "  ", "''", '" "'])
def test_blank_pool_names(name: str) -> None:
    assert complaint(WorkPoolCreate, name=name)[0] == ("name",)
    if name:
        assert complaint(WorkPoolCreate, name=name)[1] == "Value error, name cannot be an empty string"


@pytest.mark.parametrize("slug", ["Upper", "under_score", "dot.ted", "sp ace", "new\n"])
def test_slugs_refused(slug: str) -> None:
    assert complaint(BlockTypeCreate, name="n", slug=slug)[0] == ("slug",)
    assert complaint(ArtifactCreate, key=slug)[0] == ("key",)
    assert complaint(BlockDocumentCreate, name=slug, block_schema_id=ID, block_type_id=ID)[0] == ("name",)


def test_empty_slugs() -> None:
    assert ArtifactCreate(key="").key == ""
    anonymous = {"block_schema_id": ID, "block_type_id": ID, "is_anonymous": True}
    assert complaint(BlockDocumentCreate, name="", **anonymous)[0] == ("name",)


@pytest.mark.parametrize("name", [{}, {"name": None}, {"name": ""}])
def test_block_documents_have_names(name: dict[str, str | None]) -> None:
    _, why = complaint(BlockDocumentCreate, block_schema_id=ID, block_type_id=ID, **name)
    assert why == "Value error, Names must be provided for block documents."


def test_anonymous_block_documents_need_none() -> None:
    assert BlockDocumentCreate(block_schema_id=ID, block_type_id=ID, is_anonymous=True).name is None


@pytest.mark.parametrize("value", ["text", 1, 1.5, True, False, 0])
def test_labels_are_kept_as_they_are(value: object) -> None:
    kept = TypeAdapter[Any](Labels).validate_python({"a": value})["a"]
    assert (kept, type(kept)) == (value, type(value))


@pytest.mark.parametrize("value", [None, [], {}, ["a"]])
def test_labels_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        FlowCreate.model_validate({"name": "f", "labels": {"a": value}})


def test_labels_may_be_null() -> None:
    assert FlowCreate.model_validate({"name": "f", "labels": None}).labels is None
    assert FlowCreate(name="f").labels == {}


def test_unknown_keys_are_refused_where_they_matter() -> None:
    assert complaint(FlowCreate, name="f", nope=1) == (("nope",), "Extra inputs are not permitted")
    assert complaint(FlowRunFilter, state={"type": {"all_": []}})[0] == ("state", "type", "all_")


def test_lax_integers() -> None:
    assert ConcurrencyLimitV2Create.model_validate({"name": "n", "limit": "5.0"}).limit == 5
    assert complaint(ConcurrencyLimitV2Create, name="n", limit=5.5)[0] == ("limit",)
    assert complaint(ConcurrencyLimitV2Create, name="n", limit=-1)[0] == ("limit",)


def test_sent_fields() -> None:
    update = FlowRunUpdate.model_validate({"flow_version": None, "tags": ["a"]})
    assert update.sent() == {"flow_version": None, "tags": ["a"]}


# --- states --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", ["id", "timestamp", "nope"])
def test_states_know_no_other_keys(extra: str) -> None:
    assert complaint(StateCreate, type="RUNNING", **{extra: "x"})[0] == (extra,)


def test_state_details() -> None:
    assert complaint(StateCreate, type="RUNNING", state_details=None)[0] == ("state_details",)
    state = StateCreate.model_validate({"type": "RUNNING", "state_details": {"nope": 1, "pause_key": "k"}})
    assert state.to_proposal(NOW).details == CoreDetails(pause_key="k")
    assert complaint(StateCreate, type="running")[0] == ("type",)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"type": "RUNNING"}, "Running"),
        ({"type": "RUNNING", "name": None}, "Running"),
        ({"type": "RUNNING", "name": ""}, ""),
        ({"type": "SCHEDULED", "name": "AwaitingRetry"}, "AwaitingRetry"),
    ],
)
def test_state_names(body: dict[str, Any], name: str) -> None:
    assert StateCreate.model_validate(body).to_proposal(NOW).name == name


def test_scheduled_states_have_a_time() -> None:
    for details in ({}, {"scheduled_time": None}):
        state = StateCreate.model_validate({"type": "SCHEDULED", "state_details": details})
        assert state.to_proposal(NOW).details.scheduled_time == NOW
    later = StateCreate.model_validate(
        {"type": "SCHEDULED", "state_details": {"scheduled_time": "2027-01-01T00:00:00", "deferred": None}}
    )
    assert later.to_proposal(NOW).details == CoreDetails(scheduled_time=datetime(2027, 1, 1, tzinfo=UTC), deferred=None)
    assert StateCreate(type=StateType.PENDING).to_proposal(NOW).details == CoreDetails()


def test_state_out() -> None:
    state = State(id=ID, type=StateType.RUNNING, name="Running", timestamp=NOW)
    out = json.loads(state.model_dump_json())
    assert list(out) == ["id", "type", "name", "timestamp", "message", "data", "state_details"]
    assert set(out["state_details"]) == set(StateDetails.model_fields)
    assert out["state_details"]["deferred"] is False


# --- runs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, {"name": None}, {"name": ""}])
def test_nameless_runs_get_two_words(body: dict[str, Any]) -> None:
    for made in (
        FlowRunCreate.model_validate({"flow_id": ID, **body}),
        TaskRunCreate.model_validate({"task_key": "t", "dynamic_key": "0", **body}),
        TaskRunUpdate.model_validate(body),
    ):
        first, second = made.name.split("-")
        assert first.isalpha()
        assert second.isalpha()


def test_renaming_a_flow_run_to_null_gives_a_new_name() -> None:
    assert FlowRunUpdate.model_validate({"name": None}).name
    assert "name" not in FlowRunUpdate().sent()


def test_parameter_size() -> None:
    blob = {"a": "x" * 524_288}
    why = "Value error, Flow run parameters must be less than 524,288 bytes when serialized (got 524,296 bytes)."
    for model, body in (
        (FlowRunCreate, {"flow_id": ID}),
        (FlowRunUpdate, {}),
        (DeploymentCreate, {"flow_id": ID, "name": "d"}),
        (DeploymentUpdate, {}),
    ):
        assert complaint(model, parameters=blob, **body) == (("parameters",), why)


def test_parameter_size_counts_escapes() -> None:
    assert FlowRunUpdate(parameters={"a": "x" * 200_000})
    assert complaint(FlowRunUpdate, parameters={"a": "é" * 100_000})[0] == ("parameters",)


def test_parameter_size_can_be_unlimited(small_limits: limits.Limits) -> None:
    assert complaint(FlowRunUpdate, parameters={"a": "x" * 20})[0] == ("parameters",)
    limits.use(limits.Limits(parameter_bytes=0))
    assert FlowRunUpdate(parameters={"a": "x" * 600_000})


def test_flow_run_policy_from_the_old_spelling() -> None:
    old = FlowRunPolicy(max_retries=3, retry_delay_seconds=7.0)
    assert (old.retries, old.retry_delay) == (3, 7)
    assert FlowRunPolicy(max_retries=3, retries=0).retries == 3
    assert FlowRunPolicy(max_retries=3, retries=2).retries == 2
    assert FlowRunPolicy().retries is None
    assert complaint(FlowRunPolicy, retry_delay=1.5)[0] == ("retry_delay",)
    core = FlowRunPolicy(retries=1, pause_keys={"b", "a"}).to_core()
    assert (core.retries, core.pause_keys, core.resuming) == (1, ("a", "b"), False)
    assert json.loads(FlowRunPolicy().model_dump_json()) == {
        "max_retries": 0, "retry_delay_seconds": 0.0, "retries": None, "retry_delay": None, "pause_keys": [],
        "resuming": False, "retry_type": None,
    }  # fmt: skip


def test_task_run_policy() -> None:
    policy = TaskRunPolicy.model_validate({"retries": 3, "retry_delay": [1, 2.5]})
    assert policy.to_core().retry_delay == (1, 2.5)
    assert TaskRunPolicy(max_retries=2, retry_delay_seconds=0.5).retry_delay == 0.5
    assert complaint(TaskRunPolicy, retry_jitter_factor=-0.1)[0] == ("retry_jitter_factor",)
    assert len(TaskRunPolicy.model_validate({"retry_delay": [1] * 50}).to_core().retry_delay or ()) == 50  # type: ignore[arg-type]
    assert complaint(TaskRunPolicy, retry_delay=[1] * 51)[1] == (
        "Value error, Can not configure more than 50 retry delays per task."
    )


def test_cache_keys() -> None:
    body = {"task_key": "t", "dynamic_key": "0"}
    assert TaskRunCreate.model_validate({**body, "cache_key": "k" * 2000})
    assert complaint(TaskRunCreate, **body, cache_key="k" * 2001)[0] == ("cache_key",)


def test_task_inputs_keep_their_kind() -> None:
    inputs = {
        "a": [{"input_type": "task_run", "id": str(ID)}, {"input_type": "flow_run", "id": str(ID)}],
        "b": [{"input_type": "parameter", "name": "p"}, {"input_type": "constant", "type": "int"}],
    }
    made = TaskRunCreate.model_validate({"task_key": "t", "dynamic_key": "0", "task_inputs": inputs})
    assert made.model_dump(mode="json")["task_inputs"] == inputs


# --- deployments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["worker_pool_queue_id", "worker_pool_name", "worker_pool_queue_name", "work_pool_queue_name"]
)
def test_old_deployment_keys_are_dropped(key: str) -> None:
    assert "paused" not in DeploymentUpdate.model_validate({key: "x"}).sent()
    assert DeploymentCreate.model_validate({"name": "d", "flow_id": ID, key: "x"})
    assert complaint(DeploymentUpdate, name="d")[0] == ("name",)


def test_one_kind_of_deployment_limit() -> None:
    for model, body in ((DeploymentCreate, {"name": "d", "flow_id": ID}), (DeploymentUpdate, {})):
        _, why = complaint(model, **body, concurrency_limit=1, global_concurrency_limit_id=ID)
        assert why == "Value error, A deployment cannot have both a concurrency limit and a global concurrency limit."
        assert model.model_validate({**body, "concurrency_limit": None, "global_concurrency_limit_id": ID})
        assert complaint(model, **body, concurrency_limit=0)[0] == ("concurrency_limit",)


@pytest.mark.parametrize(("grace", "fits"), [(59, False), (60, True), (86400, True), (86401, False)])
def test_grace_period(grace: int, fits: bool) -> None:
    body = {"collision_strategy": "ENQUEUE", "grace_period_seconds": grace}
    if fits:
        assert ConcurrencyOptions.model_validate(body).grace_period_seconds == grace
    else:
        assert complaint(ConcurrencyOptions, **body)[0] == ("grace_period_seconds",)


INTEGER = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a", "b"]}


def test_parameters_are_checked_when_the_request_asks() -> None:
    body: dict[str, Any] = {"name": "d", "flow_id": ID, "parameter_openapi_schema": INTEGER}
    assert DeploymentCreate.model_validate({**body, "parameters": {"a": "x"}})
    assert DeploymentCreate.model_validate({**body, "parameters": {}, "enforce_parameter_schema": True})
    _, why = complaint(DeploymentCreate, **body, parameters={"a": "x"}, enforce_parameter_schema=True)
    assert why == "Value error, Validation failed for field 'a'. Failure reason: 'x' is not of type 'integer'"
    bad = {**body, "parameter_openapi_schema": {"type": "nonsense"}, "enforce_parameter_schema": True}
    _, why = complaint(DeploymentCreate, **bad)
    assert why.startswith("Value error, The provided schema is not a valid json schema. Schema error: ")


@pytest.mark.parametrize(
    "reference", ["#", "http://127.0.0.1:1/never-fetched.json", "#/definitions/missing"], ids=["loop", "remote", "gone"]
)
def test_references_in_parameter_schemas_do_no_harm(reference: str) -> None:
    schema = {"$ref": reference}
    body = {"name": "d", "flow_id": ID, "parameter_openapi_schema": schema, "enforce_parameter_schema": True}
    assert complaint(DeploymentCreate, **body, parameters={"a": 1})[0] == ()


def test_max_scheduled_runs() -> None:
    cron = {"cron": "@daily"}
    assert DeploymentScheduleCreate.model_validate({"schedule": cron, "max_scheduled_runs": 50})
    _, why = complaint(DeploymentScheduleCreate, schedule=cron, max_scheduled_runs=51)
    assert why == "Value error, `max_scheduled_runs` must be less than or equal to 50."


# --- schedules -----------------------------------------------------------------------------------------

SCHEDULE: TypeAdapter[Any] = TypeAdapter(Schedule)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"interval": 60}, IntervalSchedule),
        ({"cron": "0 9 * * *"}, CronSchedule),
        ({"rrule": "FREQ=DAILY"}, RRuleSchedule),
        ({"rrule": "FREQ=DAILY", "timezone": None}, RRuleSchedule),
    ],
)
def test_kinds_of_schedules(body: dict[str, Any], kind: type[IntervalSchedule | CronSchedule | RRuleSchedule]) -> None:
    schedule = SCHEDULE.validate_python(body)
    assert isinstance(schedule, kind)
    assert schedule.to_core()


def test_interval_schedules() -> None:
    made = IntervalSchedule.model_validate({"interval": 3600, "anchor_date": "2026-01-01T09:00:00-05:00"})
    assert json.loads(made.model_dump_json()) == {
        "interval": 3600.0, "anchor_date": "2026-01-01T14:00:00Z", "timezone": "UTC",
    }  # fmt: skip
    local = IntervalSchedule(interval=timedelta(days=1), anchor_date=NOON.astimezone(ZoneInfo("Europe/Berlin")))
    assert (local.timezone, local.anchor_date) == ("Europe/Berlin", NOON)
    naive = IntervalSchedule.model_validate({"interval": "PT1H", "anchor_date": "2026-01-01T12:00:00"})
    assert naive.anchor_date == NOON


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"interval": 0}, "interval must be positive"),
        ({"interval": -1}, "interval must be positive"),
        ({"cron": "x"}, 'Invalid cron string: "x"'),
        ({"cron": "R * * * *"}, 'Random and Hashed expressions are unsupported, received: "R * * * *"'),
        ({"rrule": "x"}, 'Invalid RRule string "x": '),
        (
            {"cron": "@daily", "timezone": "Nowhere"},
            'Invalid timezone: "Nowhere" (specify in IANA tzdata format, for example, America/New_York)',
        ),
        ({"cron": "@daily", "nope": 1}, "Extra inputs are not permitted"),
        ({}, "Field required"),
    ],
)
def test_schedules_refused(body: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SCHEDULE.validate_python(body)
    assert any(error["msg"].removeprefix("Value error, ").startswith(why) for error in caught.value.errors())


# --- pools, variables, artifacts, filters --------------------------------------------------------------


def _template(used: str) -> dict[str, Any]:
    return {
        "job_configuration": {"command": used, "env": [{"{{ env }}": 1}]},
        "variables": {"properties": {"image": {}, "env": {}}},
    }


def test_job_templates() -> None:
    for used in ("{{ image }}", "no", "{{image}}:{{ env }}"):
        assert WorkPoolCreate(name="p", base_job_template=_template(used))
    _, why = complaint(WorkPoolCreate, name="p", base_job_template={"variables": {"a": 1}})
    expected = "The `base_job_template` must contain both a `job_configuration` key and a `variables` key."
    assert why == f"Value error, {expected}"
    for model, body in ((WorkPoolCreate, {"name": "p"}), (WorkPoolUpdate, {})):
        _, why = complaint(model, **body, base_job_template=_template("{{ b }}-{{a}}"))
        assert "undeclared variable(s): a" in why


def test_variables() -> None:
    assert VariableCreate(name="a_b-1", value=None).value is None
    assert VariableCreate(name="a", value="x" * 4998)
    assert VariableCreate(name="a", value="é" * 4998)
    assert complaint(VariableCreate, name="a", value="x" * 4999) == (
        ("value",),
        "Value error, Variable value must be less than 5000 characters",
    )
    assert complaint(VariableCreate, name="A", value=1)[0] == ("name",)
    assert complaint(VariableCreate, name="a" * 256, value=1)[0] == ("name",)
    assert complaint(VariableCreate, name="a")[1] == "Field required"
    for value in (True, 1, 1.5, "1", [1], {"a": None}):
        kept = VariableCreate.model_validate({"name": "a", "value": value}).value
        assert (kept, type(kept)) == (value, type(value))


def test_artifact_metadata_is_cut() -> None:
    made = ArtifactCreate(metadata_={"short": "x" * 500, "long": "x" * 501})
    assert made.metadata_ == {"short": "x" * 500, "long": "x" * 500 + "..."}


def test_filter_defaults() -> None:
    shown = BlockDocumentFilter().is_anonymous
    assert shown is not None
    assert shown.eq_ is False
    assert BlockDocumentFilter.model_validate({"is_anonymous": None}).is_anonymous is None
    task = TaskRunFilter.model_validate({"flow_run_id": {}})
    assert task.flow_run_id is not None
    assert task.flow_run_id.is_null_ is False
    both = FlowRunFilter.model_validate({"name": {"any_": []}, "operator": "or_", "tags": {}})
    assert [name for name, _ in given(both)] == ["name", "tags"]
