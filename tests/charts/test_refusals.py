"""What cannot work is refused, with what to set."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import helm

Json = dict[str, Any]
SERVER, WORKER = "sempre-server", "sempre-worker"
POSTGRES: Json = {"externalDatabase": {"connectionString": "postgresql://u:p@pg.mycompany.net/sempre"}}
API: Json = {"selfHostedServerApiConfig": {"apiUrl": "http://sempre:4200/api"}, "config": {"workPool": "default"}}


def merged(*parts: Json) -> Json:
    made: Json = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(made.get(key), dict)
            made[key] = merged(made[key], value) if both else value
    return made


def separate(**more: Any) -> Json:
    return merged(POSTGRES, {"backgroundServices": {"runAsSeparateDeployment": True, **more}})


def messaging(**more: Any) -> Json:
    return {"backgroundServices": {"messaging": more}}


def env(name: str, value: str) -> list[Json]:
    return [{"name": name, "value": value}]


# Name, values, and what the sentence must say: the cause and what to set.
SERVER_CASES: list[tuple[str, Json, tuple[str, ...]]] = [
    # Several replicas on the embedded Postgres.
    ("replicas", {"server": {"replicaCount": 2}}, ("embedded", "externalDatabase")),
    ("scaled", {"server": {"autoscaling": {"enabled": True}}}, ("embedded", "externalDatabase")),
    ("separate", {"backgroundServices": {"runAsSeparateDeployment": True}}, ("embedded", "externalDatabase")),
    ("sqlite", {"sqlite": {"enabled": True}, "server": {"replicaCount": 2}}, ("embedded", "externalDatabase")),
    # Mutable images.
    ("latest", merged(POSTGRES, {"image": {"tag": "latest"}}), ("latest", "set image.tag", "migrations.enabled=false")),
    (
        "3-latest",
        merged(POSTGRES, {"global": {"prefect": {"image": {"repository": "sempre", "prefectTag": "3-latest"}}}}),
        ("3-latest", "set image.tag"),
    ),
    (
        "their image",
        {"global": {"prefect": {"image": {"repository": "prefecthq/prefect", "prefectTag": "3.4.17"}}}},
        ("prefecthq/prefect", "set image.repository"),
    ),
    (
        "a tag alone",
        {"global": {"prefect": {"image": {"prefectTag": "3.4.17-python3.11"}}}},
        ("3.4.17-python3.11", "set global.prefect.image.repository"),
    ),
    # Example names.
    ("domain", {"domain": "sempre.example.com"}, ("domain", "set it to the name of yours")),
    (
        "redis host",
        separate(messaging={"redis": {"host": "your-redis.internal"}, "docket": {"url": "redis://r.net:6379/1"}}),
        ("messaging.redis.host", "set it"),
    ),
    (
        "docket",
        separate(messaging={"redis": {"host": "r.net"}, "docket": {"url": "redis://redis.example.com:6379/1"}}),
        ("messaging.docket.url", "set it"),
    ),
    (
        "url",
        {"externalDatabase": {"connectionString": "postgresql://user:password@<host>/sempre"}},
        ("externalDatabase.connectionString", "set it"),
    ),
    # Half of a Redis.
    ("broker", separate(messaging={"broker": "prefect_redis.messaging"}), ("no Redis", "set", "messaging.redis.host")),
    ("password", separate(messaging={"redis": {"password": "x"}}), ("half", "set", "messaging.redis.host")),
    (
        "no turns",
        merged(POSTGRES, {"externalRedis": {"streams": {"url": "redis://r.net:6379/0"}}}),
        ("externalRedis.streams", "set externalRedis.work.url"),
    ),
    (
        "turns alone",
        separate(messaging={"docket": {"url": "redis://r.net:6379/1"}}),
        ("streams", "set", "messaging.redis.host"),
    ),
    (
        "no Secret",
        merged(POSTGRES, {"externalRedis": {"urlSecretKey": "url"}}),
        ("key url", "set externalRedis.existingSecret"),
    ),
    (
        "cache alone",
        merged(POSTGRES, {"externalRedis": {"cache": {"url": "redis://r.net:6379/0"}}}),
        ("externalRedis.cache", "set externalRedis.url"),
    ),
    (
        "twice",
        merged(POSTGRES, {"externalRedis": {"url": "redis://r.net:6379/0"}}, messaging(redis={"host": "r.net"})),
        ("twice", "set one"),
    ),
    (
        "cluster",
        merged(POSTGRES, {"externalRedis": {"url": "redis+cluster://r.net:6379/0"}}),
        ("cluster", "set a single instance"),
    ),
    # Docket URLs that are not shared, or memory.
    (
        "replicas without docket",
        separate(replicaCount=2, messaging={"redis": {"host": "r.net"}}),
        ("docket", "set backgroundServices.messaging.docket.url=redis://r.net:6379/1"),
    ),
    (
        "docket of the API",
        merged(separate(), {"server": {"env": env("PREFECT_SERVER_DOCKET_URL", "redis://r.net:6379/1")}}),
        ("different docket URLs", "set backgroundServices.messaging.docket.url"),
    ),
    (
        "two dockets",
        merged(
            separate(env=env("SEMPRE_SERVER_DOCKET_URL", "redis://a.net:6379/1")),
            {"server": {"env": env("PREFECT_SERVER_DOCKET_URL", "redis://b.net:6379/1")}},
        ),
        ("different docket URLs", "set backgroundServices.messaging.docket.url"),
    ),
    (
        "docket by both ways",
        merged(
            separate(messaging={"redis": {"host": "r.net"}, "docket": {"url": "redis://r.net:6379/1"}}),
            {"global": {"prefect": {"env": env("PREFECT_SERVER_DOCKET_URL", "redis://b.net:6379/1")}}},
        ),
        ("twice", "set backgroundServices.messaging.docket.url"),
    ),
    ("memory docket", separate(messaging={"docket": {"url": "memory://"}}), ("memory://", "take it away")),
    (
        "memory broker",
        separate(messaging={"broker": "prefect.server.utilities.messaging.memory"}),
        ("memory of one process", 'set broker=""'),
    ),
    # The database.
    (
        "sqlite url",
        {"externalDatabase": {"connectionString": "sqlite+aiosqlite:////data/prefect.db"}},
        ("SQLite", "set externalDatabase.connectionString"),
    ),
    ("no host", {"externalDatabase": {"username": "u", "password": "p", "database": "d"}}, ("no host", "set")),
    ("own", {"secret": {"username": "u", "host": "pg.net"}}, ("lacks its password", "set secret.password")),
    ("own too", {"secret": {"username": "u", "host": "pg.net"}}, ("lacks its database", "set secret.database")),
    ("nothing", {"secret": {"create": False}}, ("no Secret is named", "set secret.name")),
    (
        "key of nothing",
        {"externalDatabase": {"connectionStringSecretKey": "u"}},
        ("set externalDatabase.existingSecret",),
    ),
    ("two", merged(POSTGRES, {"postgresql": {"enabled": True}}), ("set postgresql.enabled=false",)),
    (
        "one knows it",
        {
            "server": {"env": env("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql://u:p@h/d")},
            "backgroundServices": {"runAsSeparateDeployment": True},
        },
        ("services do not know", "set it in global.prefect.env"),
    ),
    # Traffic.
    (
        "both",
        {"ingress": {"enabled": True, "host": {"hostname": "a.b"}}, "gateway": {"enabled": True, "className": "x"}},
        ("Ingress and Gateway", "set ingress.enabled=false"),
    ),
    ("no class", {"gateway": {"enabled": True}}, ("no class", "set gateway.className")),
    ("no parent", {"httproute": {"enabled": True}}, ("no Gateway", "set httproute.parent.name")),
    ("no name", {"ingress": {"enabled": True}}, ("no host name", "set domain")),
    ("no TLS", {"domain": "a.b", "ingress": {"enabled": True}}, ("no TLS", "set ingress.tls=true")),
    # Secrets and the rest.
    ("auth", {"server": {"basicAuth": {"enabled": True}}}, ("set server.basicAuth.existingSecret",)),
    (
        "admin:pass",
        {"server": {"basicAuth": {"enabled": True, "authString": "admin:pass"}}},
        ("admin:pass", "set another"),
    ),
    ("metrics", {"metrics": {"serviceMonitor": {"enabled": True}}}, ("set metrics.enabled=true",)),
    (
        "scrape",
        {
            "metrics": {"enabled": True, "serviceMonitor": {"enabled": True}},
            "server": {"basicAuth": {"enabled": True, "existingSecret": "auth"}},
        },
        ("set metrics.serviceMonitor.basicAuth.secret",),
    ),
    (
        "no requests",
        merged(POSTGRES, {"server": {"autoscaling": {"enabled": True}, "resources": {"requests": None}}}),
        ("request nothing", "set server.resources.requests"),
    ),
    (
        "nobody",
        merged(POSTGRES, {"server": {"env": env("PREFECT__SERVER_WEBSERVER_ONLY", "true")}}),
        ("nobody else runs them", "set backgroundServices.runAsSeparateDeployment=true"),
    ),
    ("group", separate(groups={"a": {"services": ["nobody"]}}), ("nobody", "set it to some of", "triggers")),
    (
        "groups",
        merged(POSTGRES, {"backgroundServices": {"groups": {"a": {"services": ["triggers"]}}}}),
        ("set", "=true"),
    ),
    ("removed", {"server": {"prefectApiUrl": "http://x"}}, ("prefectApiUrl", "set server.uiConfig.prefectUiApiUrl")),
    ("removed host", {"server": {"prefectApiHost": "0.0.0.0"}}, ("prefectApiHost", "take it away")),
    ("removed ui", {"server": {"uiConfig": {"prefectUiUrl": "http://x"}}}, ("set server.uiConfig.uiUrl",)),
]

WORKER_CASES: list[tuple[str, Json, tuple[str, ...]]] = [
    ("pool", {"worker": {"selfHostedServerApiConfig": {"apiUrl": "http://x/api"}}}, ("set worker.config.workPool",)),
    ("url", {"worker": {"config": {"workPool": "a"}}}, ("set worker.selfHostedServerApiConfig.apiUrl",)),
    (
        "example",
        {"worker": merged(API, {"selfHostedServerApiConfig": {"apiUrl": "https://api.example.com/api"}})},
        ("apiUrl", "set it"),
    ),
    (
        "ids",
        {"worker": {"apiConfig": "cloud", "config": {"workPool": "a"}}},
        ("accountId", "workspaceId", "set worker.cloudApiConfig.accountId"),
    ),
    (
        "auth",
        {"worker": merged(API, {"selfHostedServerApiConfig": {"basicAuth": {"enabled": True}}})},
        ("set its existingSecret",),
    ),
    (
        "templates",
        {"worker": merged(API, {"config": {"baseJobTemplate": {"existingConfigMapName": "a", "configuration": "{}"}}})},
        ("two templates", "set"),
    ),
    (
        "text",
        {"worker": merged(API, {"config": {"baseJobTemplate": {"configuration": "variables: {}"}}})},
        ("not a JSON object", "set it"),
    ),
    ("names", {"worker": API, "pools": [{"name": "a"}, {"name": "a"}]}, ("are called", "set names")),
    (
        "one of them",
        {"worker": API, "pools": [{"name": "a"}, {"name": "b", "worker": {"config": {"workPool": ""}}}]},
        ("b: No work pool", "set worker.config.workPool"),
    ),
    (
        "no requests",
        {"worker": merged(API, {"autoscaling": {"enabled": True}, "resources": {"requests": None}})},
        ("set worker.resources.requests",),
    ),
]
CASES = [(SERVER, *case) for case in SERVER_CASES] + [(WORKER, *case) for case in WORKER_CASES]


@pytest.mark.parametrize(("chart", "name", "values", "phrases"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_it_is_refused_with_what_to_set(chart: str, name: str, values: Json, phrases: tuple[str, ...]) -> None:
    with pytest.raises(helm.Refused) as refused:
        helm.template(chart, given=values)
    said = str(refused.value)
    assert "These values are refused" in said
    for phrase in phrases:
        assert phrase in said


def test_a_cluster_without_the_gateway_api_is_told() -> None:
    with pytest.raises(helm.Refused, match="does not know the Gateway API"):
        helm.template(SERVER, given={"gateway": {"enabled": True, "className": "x"}}, api_versions=())


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(helm.Refused) as refused:
        helm.template(SERVER, given=merged({"gateway": {"enabled": True}}, {"server": {"replicaCount": 2}}))
    assert str(refused.value).count("\n- ") == 2


UNKNOWN: list[tuple[str, Json, str]] = [
    (SERVER, {"replicaCount": 2}, "replicaCount"),
    (SERVER, {"server": {"replicas": 2}}, "replicas"),
    (SERVER, {"backgroundServices": {"messaging": {"redis": {"hostname": "x"}}}}, "hostname"),
    (SERVER, {"backgroundServices": {"groups": {"a": {"services": ["triggers"], "replicas": 2}}}}, "replicas"),
    (SERVER, {"postgresql": {"enabled": True, "architecture": "replication"}}, "architecture"),
    (SERVER, {"server": {"replicaCount": "two"}}, "replicaCount"),
    (SERVER, {"server": {"env": [{"value": "x"}]}}, "name"),
    (SERVER, {"server": {"loggingLevel": "LOUD"}}, "loggingLevel"),
    (SERVER, {"service": {"port": 70000}}, "port"),
    (WORKER, {"worker": {"workPool": "a"}}, "workPool"),
    (WORKER, {"worker": API, "pools": [{"name": "a", "worker": {"pool": "b"}}]}, "pool"),
    (WORKER, {"worker": {**API, "apiConfig": "hosted"}}, "apiConfig"),
]


@pytest.mark.parametrize(("chart", "values", "name"), UNKNOWN, ids=[f"{c[0]}-{c[2]}" for c in UNKNOWN])
def test_names_and_types_that_are_none_are_refused(chart: str, values: Json, name: str) -> None:
    with pytest.raises(helm.Refused, match="schema") as refused:
        helm.template(chart, given=values)
    assert name in str(refused.value)


ACCEPTED: list[tuple[str, Json]] = [
    # Left over from services that are not started, and values of a chart that ours are part of.
    (
        SERVER,
        {"postgresql": {"enabled": False, "architecture": "replication", "primary": {"extendedConfiguration": "x"}}},
    ),
    (SERVER, {"redis": {"enabled": False, "architecture": "standalone", "auth": {"enabled": True}}}),
    (SERVER, {"global": {"imageRegistry": "registry.mycompany.net", "prefect": {"env": []}}}),
    (WORKER, {"worker": API, "global": {"imageRegistry": "registry.mycompany.net"}}),
    # Several pods over Postgres alone are what it is for.
    (SERVER, merged(separate(replicaCount=3), {"server": {"replicaCount": 3}})),
    # A name that moves, where nothing is migrated by it.
    (SERVER, merged(POSTGRES, {"image": {"tag": "latest"}, "migrations": {"enabled": False}})),
    (SERVER, merged(POSTGRES, {"image": {"tag": "latest", "digest": "sha256:" + "0" * 64}})),
    (SERVER, {"ingress": {"enabled": True, "host": {"hostname": "sempre.mycompany.net"}, "selfSigned": True}}),
    (SERVER, {"server": {"env": [{"name": "A", "value": 5}]}, "service": {"nodePort": ""}}),
]


@pytest.mark.parametrize(("chart", "values"), ACCEPTED)
def test_what_works_is_not_refused(chart: str, values: Json) -> None:
    assert helm.template(chart, given=values)
