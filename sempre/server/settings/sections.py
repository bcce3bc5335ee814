"""The sections of the settings tree beside the database and the services."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sempre.server.settings.parse import parse_backend, parse_base_path
from sempre.settings.fields import setting
from sempre.settings.parse import parse_log_level


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """The HTTP listener: address, authentication, bounds."""

    prefix: ClassVar[str] = "SERVER_API_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_API_",)

    host: str = setting("127.0.0.1", "Address to listen on. 0.0.0.0 in a container.")
    port: int = setting(4200, "Port to listen on.", minimum=0, maximum=65535)
    base_path: str = setting("/api", "URL prefix of the API.", parse=parse_base_path)
    auth_string: str | None = setting(
        None, "`user:password`. Set: every request must carry it by HTTP Basic.", secret=True
    )
    default_limit: int = setting(
        200, "Page size when the client names none, and the largest allowed.",
        aliases=("PREFECT_API_DEFAULT_LIMIT",), minimum=1,
    )  # fmt: skip
    keepalive_timeout_seconds: float = setting(
        5.0, "Seconds an idle connection is kept. At least 75 behind a load balancer.",
        suffixes=("KEEPALIVE_TIMEOUT",), minimum=0,
    )  # fmt: skip
    csrf_protection_enabled: bool = setting(
        False, "Require a CSRF token on writes.", aliases=("PREFECT_SERVER_CSRF_PROTECTION_ENABLED",)
    )
    csrf_token_expiration_seconds: float = setting(
        3600.0, "How long a CSRF token is good for.", suffixes=("CSRF_TOKEN_EXPIRATION",),
        aliases=("PREFECT_SERVER_CSRF_TOKEN_EXPIRATION",), minimum=1,
    )  # fmt: skip
    cors_allowed_origins: tuple[str, ...] = setting(
        ("*",), "Comma list of origins browsers may call from.", aliases=("PREFECT_SERVER_CORS_ALLOWED_ORIGINS",)
    )
    cors_allowed_methods: tuple[str, ...] = setting(
        ("*",), "Comma list of methods for cross-origin calls.", aliases=("PREFECT_SERVER_CORS_ALLOWED_METHODS",)
    )
    cors_allowed_headers: tuple[str, ...] = setting(
        ("*",), "Comma list of headers for cross-origin calls.", aliases=("PREFECT_SERVER_CORS_ALLOWED_HEADERS",)
    )
    websocket_ping_interval_seconds: float = setting(
        20.0, "Seconds between pings on a websocket.", suffixes=("WEBSOCKET_PING_INTERVAL",), minimum=0.05
    )
    websocket_ping_timeout_seconds: float = setting(
        20.0, "A websocket whose pong takes longer is closed.", suffixes=("WEBSOCKET_PING_TIMEOUT",), minimum=0.05
    )
    websocket_protocol: str = setting(
        "sempre.server.feed.websocket_protocol:WebSocketProtocol",
        "Import string of the websocket protocol class, or a name the HTTP server knows.",
    )
    max_parameter_size: int = setting(
        524288, "Most bytes of JSON in the parameters of a run or deployment. 0: no limit.", minimum=0
    )
    max_body_size: int = setting(10 * 1024 * 1024, "Most bytes of a request body; larger ones get 413.", minimum=1024)
    max_concurrent_requests: int = setting(
        1000, "Requests in flight in one process; past it the answer is 503 with Retry-After. 0: no limit.", minimum=0
    )
    request_deadline_seconds: float = setting(
        20.0, "Longest a request waits for its answer to begin; past it the work is cancelled and the answer is 503 "
        "with Retry-After. Well under the 60 s of clients. 0: no limit.", minimum=0,
    )  # fmt: skip
    outage_patience_seconds: float = setting(
        900.0, "While Postgres is away for no longer than this, clients are told to wait however often they have asked "
        "(Prefect-Maintenance: true beside the 503); past it they give up by rules of their own.", minimum=0,
    )  # fmt: skip
    max_websockets: int = setting(5000, "Open websockets of one process. 0: no limit.", minimum=0)
    max_subscriber_queue: int = setting(
        5000, "Messages held for one slow websocket reader before it is told to reconnect.", minimum=1
    )
    shutdown_drain_seconds: float = setting(
        0.0, "After a stop signal: seconds during which /ready says 503 while requests are still taken. "
        "One interval of the balancer's health check, e.g. 5.", minimum=0,
    )  # fmt: skip
    shutdown_grace_seconds: float = setting(15.0, "Longest a stop waits for requests in flight.", minimum=0)
    forwarded_allow_ips: str = setting(
        "127.0.0.1", "Addresses of proxies whose X-Forwarded headers are believed; `*` for all.",
        aliases=("FORWARDED_ALLOW_IPS",),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EventsSettings:
    """The event log: bounds, retention, live feed."""

    prefix: ClassVar[str] = "SERVER_EVENTS_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_EVENTS_", "PREFECT_EVENTS_")

    messaging_broker: str = setting(
        "memory", "What carries the live feed: memory (Postgres) or redis. Unset: redis when Redis is configured.",
        aliases=("PREFECT_MESSAGING_BROKER",), parse=parse_backend,
    )  # fmt: skip
    messaging_cache: str = setting(
        "memory", "Accepted for existing manifests; deduplication is in Postgres.",
        aliases=("PREFECT_MESSAGING_CACHE",), parse=parse_backend,
    )  # fmt: skip
    causal_ordering: str = setting(
        "memory", "Accepted for existing manifests; ordering is in Postgres.", parse=parse_backend
    )
    stream_out_enabled: bool = setting(
        True, "Serve the events/out websocket.", aliases=("PREFECT_API_EVENTS_STREAM_OUT_ENABLED",)
    )
    retention_seconds: float = setting(
        604800.0, "How long events are kept (7 days).", suffixes=("RETENTION_PERIOD",), minimum=1
    )
    related_resource_cache_ttl_seconds: float = setting(
        300.0, "How long a server remembers runs and the names and tags of flows for the events it makes; one renamed "
        "through another server may have its old name there for so long.", suffixes=("RELATED_RESOURCE_CACHE_TTL",),
        aliases=("PREFECT_API_EVENTS_RELATED_RESOURCE_CACHE_TTL",), minimum=0,
    )  # fmt: skip
    maximum_labels_per_resource: int = setting(500, "Most labels on one resource of an event.", minimum=1)
    maximum_related_resources: int = setting(100, "Most related resources of an event.", minimum=0)
    maximum_size_bytes: int = setting(1500000, "Most bytes of JSON of one event.", minimum=1)
    maximum_event_name_length: int = setting(1024, "Most characters of an event name.", minimum=1)
    expired_bucket_buffer_seconds: float = setting(
        60.0, "How long a finished counting window is kept.", suffixes=("EXPIRED_BUCKET_BUFFER",), minimum=0
    )
    proactive_granularity_seconds: float = setting(
        5.0, "How often proactive triggers are looked at.", suffixes=("PROACTIVE_GRANULARITY",), minimum=0.05
    )
    maximum_websocket_backfill_seconds: float = setting(
        900.0, "Furthest back a new events/out subscriber is told about.",
        suffixes=("MAXIMUM_WEBSOCKET_BACKFILL",), minimum=0,
    )  # fmt: skip
    websocket_backfill_page_size: int = setting(250, "Events read at once for such a subscriber.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class LogsSettings:
    """Run logs."""

    prefix: ClassVar[str] = "SERVER_LOGS_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_LOGS_",)

    stream_out_enabled: bool = setting(True, "Serve the logs/out websocket.")
    stream_publishing_enabled: bool = setting(
        True, "Publish logs to the live feed. Off: the logs/out websocket stays silent."
    )
    retention_seconds: float = setting(
        7776000.0, "How long logs are kept (90 days); whole days are dropped at once.", minimum=3600
    )


@dataclass(frozen=True, kw_only=True)
class ConcurrencySettings:
    """Concurrency slots."""

    prefix: ClassVar[str] = "SERVER_CONCURRENCY_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_CONCURRENCY_",)

    lease_storage: str = setting(
        "memory", "Accepted for existing manifests; leases are rows in Postgres.", parse=parse_backend
    )
    initial_deployment_lease_seconds: float = setting(
        300.0, "First lease of a deployment's slot, until the run renews it.",
        suffixes=("INITIAL_DEPLOYMENT_LEASE_DURATION",), minimum=30, maximum=3600,
    )  # fmt: skip
    maximum_slot_wait_seconds: float = setting(
        30.0, "Longest wait proposed to a client that finds no slot.",
        suffixes=("MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS",), minimum=0,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class WorkerChannelSettings:
    """The channel on which the server talks to workers."""

    prefix: ClassVar[str] = "SERVER_WORKER_CHANNEL_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_WORKER_CHANNEL_",)

    cleanup_queue_storage: str = setting(
        "memory", "Accepted for existing manifests; the queue is in Postgres.", parse=parse_backend
    )
    cleanup_lease_seconds: float = setting(30.0, "Time a worker has to finish one clean-up.", minimum=1)
    cleanup_max_delivery_attempts: int = setting(3, "Deliveries before a clean-up is given up.", minimum=1)
    cleanup_completed_idempotency_retention_seconds: float | None = setting(
        None, "How long finished clean-ups are remembered.", minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class DeploymentsSettings:
    """Deployments and their schedules."""

    prefix: ClassVar[str] = "SERVER_DEPLOYMENTS_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_DEPLOYMENTS_",)

    concurrency_slot_wait_seconds: float = setting(
        30.0, "Delay before a run that found no slot is tried again.",
        aliases=("PREFECT_DEPLOYMENT_CONCURRENCY_SLOT_WAIT_SECONDS",), minimum=0,
    )  # fmt: skip
    schedule_max_scheduled_runs: int = setting(
        50, "Largest `max_scheduled_runs` a schedule may ask for.",
        aliases=(
            "PREFECT_SERVER_DEPLOYMENT_SCHEDULE_MAX_SCHEDULED_RUNS",
            "PREFECT_DEPLOYMENT_SCHEDULE_MAX_SCHEDULED_RUNS",
        ),
        minimum=1,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TasksSettings:
    """Task runs and background tasks."""

    prefix: ClassVar[str] = "SERVER_TASKS_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_TASKS_",)

    tag_slot_wait_seconds: float = setting(
        10.0, "Wait proposed to a task that found no slot of its tag.",
        suffixes=("TAG_CONCURRENCY_SLOT_WAIT_SECONDS",),
        aliases=("PREFECT_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS",), minimum=0,
    )  # fmt: skip
    max_cache_key_length: int = setting(
        2000, "Most characters of a cache key.", aliases=("PREFECT_API_TASK_CACHE_KEY_MAX_LENGTH",), minimum=1
    )
    scheduling_max_scheduled_queue_size: int = setting(
        1000, "Accepted for existing manifests; the queue is in Postgres and takes every task.",
        aliases=("PREFECT_TASK_SCHEDULING_MAX_SCHEDULED_QUEUE_SIZE",), minimum=1,
    )  # fmt: skip
    scheduling_max_retry_queue_size: int = setting(
        100, "Accepted for existing manifests; as above, retries included.",
        aliases=("PREFECT_TASK_SCHEDULING_MAX_RETRY_QUEUE_SIZE",), minimum=1,
    )  # fmt: skip
    scheduling_pending_task_timeout_seconds: float = setting(
        0.0, "Accepted for existing manifests. A task whose worker goes before it acknowledges is delivered again by "
        "itself; one that was acknowledged never is, for a worker that is merely busy would run it a second time.",
        suffixes=("SCHEDULING_PENDING_TASK_TIMEOUT",),
        aliases=("PREFECT_TASK_SCHEDULING_PENDING_TASK_TIMEOUT",), minimum=0,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FlowRunGraphSettings:
    """Bounds of the run graph."""

    prefix: ClassVar[str] = "SERVER_FLOW_RUN_GRAPH_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_FLOW_RUN_GRAPH_",)

    max_nodes: int = setting(
        10000, "Most nodes in one graph.", aliases=("PREFECT_API_MAX_FLOW_RUN_GRAPH_NODES",), minimum=1
    )
    max_artifacts: int = setting(
        10000, "Most artifacts in one graph.", aliases=("PREFECT_API_MAX_FLOW_RUN_GRAPH_ARTIFACTS",), minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class LoggingSettings:
    """What the server itself logs."""

    prefix: ClassVar[str] = "SERVER_LOGGING_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_LOGGING_",)

    level: str = setting(
        "WARNING", "Level of the server's loggers.", aliases=("PREFECT_LOGGING_SERVER_LEVEL",), parse=parse_log_level
    )


@dataclass(frozen=True, kw_only=True)
class UiSettings:
    """The web UI."""

    prefix: ClassVar[str] = "SERVER_UI_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_UI_", "PREFECT_UI_")

    enabled: bool = setting(True, "Serve the UI.")
    url: str | None = setting(
        None, "Address of the UI in links that are sent to people. Unset: the API's host and port.",
        aliases=("SEMPRE_UI_URL",),
    )  # fmt: skip
    api_url: str | None = setting(
        None, "API address the browser uses. Unset: the page's own origin.", aliases=("PREFECT_API_URL",)
    )
    serve_base: str = setting("/", "URL prefix of the UI.")
    static_directory: Path | None = setting(None, "Accepted for existing manifests; the UI is served as shipped.")


@dataclass(frozen=True, kw_only=True)
class RedisSettings:
    """Redis, the accelerator. Unset: everything runs over Postgres."""

    prefix: ClassVar[str] = "REDIS_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_REDIS_MESSAGING_",)

    url: str | None = setting(
        None,
        "redis://, rediss://, or redis+sentinel:// or rediss+sentinel:// as in "
        "redis+sentinel://user:password@host:26379,host2/service/0. Wins over the separate fields.",
        secret=True,
    )
    cache_url: str | None = setting(
        None, "A Redis of its own for figures that servers share. Unset: the same as the feed's.", secret=True
    )
    key_prefix: str = setting(
        "sempre", "First word of every key. Installations made from copies of one database need different ones."
    )
    host: str | None = setting(None, "Host, when no URL is given.")
    port: int = setting(6379, "Port, when no URL is given.", minimum=1, maximum=65535)
    db: int = setting(0, "Database number, when no URL is given.", minimum=0)
    username: str = setting("default", "User, when no URL and a password is given.")
    password: str | None = setting(None, "Password, when no URL is given.", secret=True)
    ssl: bool = setting(False, "TLS, when no URL is given.")
    health_check_interval_seconds: float = setting(
        20.0, "An idle connection is tested when older.", suffixes=("HEALTH_CHECK_INTERVAL",), minimum=0
    )
    socket_timeout_seconds: float = setting(
        5.0, "Longest wait for an answer.", suffixes=("SOCKET_TIMEOUT",), minimum=0.01
    )
    socket_connect_timeout_seconds: float = setting(
        1.0, "Longest a connection attempt may take.", suffixes=("SOCKET_CONNECT_TIMEOUT",), minimum=0.01
    )
    command_budget_seconds: float = setting(
        0.5, "Longest a request waits for Redis before it goes on without.", minimum=0.01
    )
    protocol: int = setting(2, "RESP version.", minimum=2, maximum=3)


@dataclass(frozen=True, kw_only=True)
class DocketSettings:
    """Docket on Redis decides who runs a periodic service; unset, Postgres leases do."""

    prefix: ClassVar[str] = "SERVER_DOCKET_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_DOCKET_",)

    name: str = setting("sempre", "Name of the docket, the same in every process.")
    url: str | None = setting(
        None, "redis://, rediss:// or their +sentinel forms; memory:// and unset: Postgres leases.", secret=True
    )
