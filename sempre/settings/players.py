"""Sections about what runs: flows, tasks, their logs and results, runners and workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sempre.settings.fields import setting
from sempre.settings.parse import parse_duration, parse_log_level


@dataclass(frozen=True, kw_only=True)
class LoggingSettings:
    """What is logged, and what of it goes to the API."""

    prefix: ClassVar[str] = "LOGGING_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_LOGGING_",)

    level: str = setting("INFO", "Level of Sempre's loggers, run loggers included.", parse=parse_log_level)
    config_path: Path | None = setting(
        None, "A logging configuration of one's own. Unset: logging.yml under the home directory, if there.",
        aliases=("PREFECT_LOGGING_SETTINGS_PATH",),
    )  # fmt: skip
    extra_loggers: tuple[str, ...] = setting(
        (), "Comma list of other loggers whose lines belong to the run that logs them."
    )
    log_prints: bool = setting(False, "What flows and tasks print is logged, unless they say otherwise.")
    colors: bool = setting(True, "Colours on a terminal.")
    markup: bool = setting(False, "Accepted for existing manifests; lines are shown as they are.")
    to_api_enabled: bool = setting(True, "Send the lines of runs to the API.")
    to_api_batch_interval_seconds: float = setting(
        2.0, "Longest a line waits for others to be sent with.", suffixes=("TO_API_BATCH_INTERVAL",), minimum=0
    )
    to_api_batch_size: int = setting(4_000_000, "Most bytes sent at once.", minimum=10_000)
    to_api_max_log_size: int = setting(1_000_000, "Most bytes of a line; longer ones are cut.", minimum=1000)
    to_api_when_missing_flow: str = setting("warn", "What a line does that belongs to no run: warn, error or ignore.")


@dataclass(frozen=True, kw_only=True)
class ResultsSettings:
    """Where results are kept, and which."""

    prefix: ClassVar[str] = "RESULTS_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_RESULTS_",)

    persist_by_default: bool = setting(False, "Keep the results of flows and tasks that do not say.")
    default_serializer: str = setting("pickle", "How they are written: pickle, json, compressed/pickle, ...")
    default_storage_block: str | None = setting(
        None, "`type/name` of the block of the storage to keep them in. Unset: the local directory.",
        aliases=("PREFECT_DEFAULT_RESULT_STORAGE_BLOCK",),
    )  # fmt: skip
    local_storage_path: Path | None = setting(
        None, "The local directory. Unset: storage under the home directory.", aliases=("PREFECT_LOCAL_STORAGE_PATH",)
    )


@dataclass(frozen=True, kw_only=True)
class FlowsSettings:
    """Defaults of flows that say nothing else."""

    prefix: ClassVar[str] = "FLOWS_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_FLOWS_", "PREFECT_FLOW_")

    default_retries: int = setting(0, "How often a failed flow runs again.", minimum=0)
    default_retry_delay_seconds: float = setting(0.0, "Pause before it does.", minimum=0)
    heartbeat_frequency: float = setting(
        30.0, "Seconds between the heartbeats of a flow run. 0: none.", parse=parse_duration,
        aliases=("PREFECT_RUNNER_HEARTBEAT_FREQUENCY",), minimum=0,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TasksSettings:
    """Defaults of tasks that say nothing else."""

    prefix: ClassVar[str] = "TASKS_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_TASKS_", "PREFECT_TASK_")

    default_retries: int = setting(0, "How often a failed task runs again.", minimum=0)
    default_retry_delay_seconds: float = setting(0.0, "Pause before it does.", minimum=0)
    refresh_cache: bool = setting(False, "Compute what is cached anew, and keep the new results.")
    disable_caching: bool = setting(False, "Compute everything anew, unless a task names a cache policy.")
    default_persist_result: bool | None = setting(
        None, "Keep the results of tasks that do not say. Unset: as for flows."
    )
    runner_max_workers: int | None = setting(
        None, "Most threads of the default task runner. Unset: as many as it likes.",
        suffixes=("RUNNER_THREAD_POOL_MAX_WORKERS",), minimum=1,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DeploymentsSettings:
    """Defaults of deployments that say nothing else."""

    prefix: ClassVar[str] = "DEPLOYMENTS_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_DEPLOYMENTS_", "PREFECT_")

    default_work_pool_name: str | None = setting(None, "Work pool of deployments that name none.")
    default_docker_build_namespace: str | None = setting(None, "Registry and namespace of images that name none.")


@dataclass(frozen=True, kw_only=True)
class RunnerSettings:
    """The runner of `serve()`."""

    prefix: ClassVar[str] = "RUNNER_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_RUNNER_",)

    process_limit: int = setting(5, "Most flow runs at once.", minimum=1)
    poll_frequency: float = setting(
        10.0, "Seconds between looks for runs that are due.", parse=parse_duration, minimum=0.1
    )
    prefetch_seconds: float = setting(10.0, "How long before it is due a run is prepared.", minimum=0)
    server_enable: bool = setting(False, "Answer health checks over HTTP.")
    server_host: str = setting("127.0.0.1", "Address to answer them on.")
    server_port: int = setting(8080, "Port to answer them on.", minimum=0, maximum=65535)


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Workers."""

    prefix: ClassVar[str] = "WORKER_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_WORKER_",)

    query_seconds: float = setting(10.0, "Time between looks for runs that are due.", minimum=0.1)
    prefetch_seconds: float = setting(10.0, "How long before it is due a run is prepared.", minimum=0)
    heartbeat_seconds: float = setting(30.0, "Time between heartbeats.", minimum=1)
    drain_seconds: float | None = setting(
        None, "How long a worker that stops waits for what runs; then it leaves it to the next worker of its name. "
        "Unset: as long as it takes.", minimum=0,
    )  # fmt: skip
    enable_cancellation: bool = setting(
        False, "End at once what is cancelled and has not begun. Unset it has 30 seconds, as what runs always has."
    )
    cancellation_poll_seconds: float = setting(120.0, "Time between looks for cancelled runs.", minimum=1)
    webserver_host: str = setting("0.0.0.0", "Address to answer health checks on.")  # noqa: S104
    webserver_port: int = setting(8080, "Port to answer them on.", minimum=0, maximum=65535)
