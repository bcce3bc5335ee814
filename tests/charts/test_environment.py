"""The rendered environment means what the values say: our settings are made from it, outside of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sempre.server.services.registry import SERVICES, enabled_services
from sempre.server.settings import Settings, load_settings
from tests.charts.cases import CASES, Case, objects_of
from tests.support import helm

Json = dict[str, Any]
ELSEWHERE = {
    # Secrets that values refer to and that others make: what their keys hold.
    "connection-string": "postgresql://sempre:secret@pg.mycompany.net:5432/sempre",
    "url": "postgresql://sempre:secret@pg.mycompany.net:5432/sempre",
    "docket-url": "redis://redis.mycompany.net:6379/2",
    "streams-url": "redis://streams.mycompany.net:6379/0",
    "work-url": "redis://work.mycompany.net:6379/0",
    "cache-url": "redis://cache.mycompany.net:6379/0",
    "redis-password": "secret",
    "auth-string": "admin:secret",
    "key": "an-api-key",
    "encryption-key": "lUf3xCu0cSkqG2vfNjHOMWh2qnp5JKqQ2V2Cw8DWGGY=",
    "host": "pg.mycompany.net",
    "port": "5432",
    "user": "sempre",
    "password": "secret",
    "name": "sempre",
}
REDIS_URL = "redis://redis.mycompany.net:6379/0"


def containers(things: tuple[Json, ...]) -> dict[str, Json]:
    """The first container of each Deployment and Job of ours, by its component."""
    found = {}
    for thing in things:
        component = (
            thing["metadata"]["labels"].get("app.kubernetes.io/component") if thing["metadata"].get("labels") else ""
        )
        if thing["kind"] in ("Deployment", "Job") and component not in ("redis", "postgresql"):
            found[component] = thing["spec"]["template"]["spec"]["containers"][0]
    return found


def environment(container: Json, things: tuple[Json, ...]) -> dict[str, str]:
    """As the kubelet makes it."""
    secrets = {thing["metadata"]["name"]: thing["stringData"] for thing in things if thing["kind"] == "Secret"}
    names = [entry["name"] for entry in container["env"]]
    assert len(names) == len(set(names)), "a name that is there twice"
    made = {}
    for entry in container["env"]:
        source = entry.get("valueFrom", {})
        if reference := source.get("secretKeyRef"):
            known: Mapping[str, str] = secrets.get(reference["name"], ELSEWHERE)
            made[entry["name"]] = (
                REDIS_URL if reference == {"name": "sempre-redis", "key": "url"} else known[reference["key"]]
            )
        elif not source:
            assert isinstance(entry["value"], str)
            made[entry["name"]] = entry["value"]
    return made


def settings_of(case: Case) -> dict[str, Settings]:
    things = objects_of(case)
    return {name: load_settings(environment(each, things)) for name, each in containers(things).items()}


SERVER_CASES = [case for case in CASES if case.chart == "sempre-server"]


def _case(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


@pytest.mark.parametrize("case", SERVER_CASES, ids=str)
def test_settings_are_made_without_a_word(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    for settings in settings_of(case).values():
        assert settings.database.connection_url or not settings.services.health_port
    assert [record.message for record in caplog.records if "no effect" in record.message] == []


@pytest.mark.parametrize("case", SERVER_CASES, ids=str)
def test_processes_share_database_and_turns(case: Case) -> None:
    found = settings_of(case)
    assert len({settings.database.connection_url for settings in found.values()}) == 1
    running = {name: settings for name, settings in found.items() if name != "migrations"}
    assert len({settings.docket.url for settings in running.values()}) == 1
    assert len({settings.redis.url for settings in running.values()}) == 1
    assert len({settings.database.migrate_on_start for settings in running.values()}) == 1


@pytest.mark.parametrize("case", SERVER_CASES, ids=str)
def test_a_stop_has_the_time_it_takes(case: Case) -> None:
    for thing in objects_of(case):
        if thing["kind"] != "Deployment" or "sempre/role" not in thing["spec"]["template"]["metadata"]["labels"]:
            continue
        pod = thing["spec"]["template"]["spec"]
        settings = load_settings(environment(pod["containers"][0], objects_of(case)))
        api, services = settings.api, settings.services
        if thing["spec"]["template"]["metadata"]["labels"]["sempre/role"] == "server":
            needed = api.shutdown_drain_seconds + api.shutdown_grace_seconds + 10
            assert pod["terminationGracePeriodSeconds"] >= needed
        else:
            assert pod["terminationGracePeriodSeconds"] >= services.drain_seconds + 10
            assert services.health_port == pod["containers"][0]["ports"][0]["containerPort"]


def test_every_service_runs_somewhere_and_groups_run_theirs_alone() -> None:
    found = settings_of(_case("preset-large"))
    enabled = {
        name: {service.name for service in enabled_services(settings)}
        for name, settings in found.items()
        if name.startswith("background-services")
    }
    always = {"db_vacuum"}
    assert set().union(*enabled.values()) == {service.name for service in enabled_services(load_settings({}))}
    # The service of a switch, and what belongs to it.
    assert enabled["background-services-task-runs"] - always == {"task_run_recorder"}
    assert "triggers" in enabled["background-services-automations"]
    assert not enabled["background-services"] & (enabled["background-services-automations"] - always)


def test_the_chart_knows_every_service_that_can_be_switched() -> None:
    with pytest.raises(helm.Refused) as refused:
        helm.template(
            "sempre-server",
            given={
                "externalDatabase": {"connectionString": "postgresql://u:p@h/d"},
                "backgroundServices": {"runAsSeparateDeployment": True, "groups": {"a": {"services": ["x"]}}},
            },
        )
    listed = str(refused.value).partition("some of ")[2].partition(".")[0].split(", ")
    switches = {
        service.environment_variable.removeprefix("SEMPRE_SERVER_SERVICES_").removesuffix("_ENABLED").lower()
        for service in enabled_services(load_settings({}))
    }
    assert set(listed) == switches - {"db_vacuum", "event_persister"}
    assert SERVICES


def test_three_roles_of_redis() -> None:
    for settings in settings_of(_case("preset-large")).values():
        if settings.redis.url is None:
            continue
        assert "streams" in settings.redis.url
        assert "work" in str(settings.docket.url)
        assert "cache" in str(settings.redis.cache_url)


def test_parts_are_quoted_by_the_server_and_secrets_by_the_chart() -> None:
    fields = settings_of(_case("fields"))["server"]
    assert fields.database.connection_url == "postgresql://sempre:p%40ss%2Fw%3Ard%25@postgres.mycompany.net:6432/sempre"
    assert fields.database.statement_cache_size == 0
    assert fields.database.pool_size == 20
    assert fields.api.auth_string == "admin:s3cret:with:colons"
    own = settings_of(_case("own-secret"))["server"]
    assert own.database.connection_url == (
        "postgresql://sempre%20user:p%40ss%2Fw%3Ard%25%2B@postgres.mycompany.net:5432/sempre"
    )


def test_existing_values_mean_what_they_meant() -> None:
    things = objects_of(_case("seed"))
    found = containers(things)
    assert found["server"]["args"] == ["sempre", "server", "start", "--no-services", "--port", "4200"]
    assert found["background-services"]["args"] == ["sempre", "server", "services", "start"]
    names = [entry["name"] for entry in found["server"]["env"]]
    documented = [
        "HOME", "PREFECT_DEBUG_MODE", "PREFECT_LOGGING_SERVER_LEVEL", "PREFECT_SERVER_API_BASE_PATH",
        "PREFECT_SERVER_API_HOST", "PREFECT_SERVER_API_PORT", "PREFECT_SERVER_DATABASE_CONNECTION_URL",
        "PREFECT_SERVER_DATABASE_MIGRATE_ON_START", "PREFECT_MESSAGING_BROKER", "PREFECT_MESSAGING_CACHE",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING", "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE",
        "PREFECT_REDIS_MESSAGING_HOST", "PREFECT_REDIS_MESSAGING_PORT", "PREFECT_REDIS_MESSAGING_DB",
        "PREFECT_REDIS_MESSAGING_USERNAME",
    ]  # fmt: skip
    assert [name for name in names if name in documented] == documented
    job = next(thing for thing in things if thing["kind"] == "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install,pre-upgrade"
    enterprise = settings_of(_case("enterprise"))["server"]
    assert enterprise.webserver_only
    assert not enterprise.database.migrate_on_start
    assert "PREFECT_SERVER_API_AUTH_STRING" not in names
