"""`sempre worker`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sempre.cli.connection import open_api
from sempre.cli.errors import CliError
from sempre.cli.find import WORK_POOL, find_if_there
from sempre.cli.values import read_document

if TYPE_CHECKING:
    from sempre.workers.base import Infrastructure

app = typer.Typer(no_args_is_help=True, help="Start workers.")

_POLICIES = ("always", "if-not-present", "never", "prompt")


@app.callback()
def workers() -> None:
    """Makes `start` a command of its own beside those to come, instead of the whole group."""


@app.command()
def start(
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="The worker's name. By default one of this machine.")
    ] = None,
    pool: Annotated[str | None, typer.Option("--pool", "-p", help="The work pool to take runs from.")] = None,
    work_queue: Annotated[
        list[str] | None, typer.Option("--work-queue", "-q", help="Only runs of this queue; may be repeated.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--type", "-t", help="Its type: process, docker, ... By default that of the pool.")
    ] = None,
    prefetch_seconds: Annotated[
        int | None, typer.Option("--prefetch-seconds", min=0, help="How long before it is due a run is prepared.")
    ] = None,
    run_once: Annotated[
        bool, typer.Option("--run-once", help="Look for work once, and end when what was found has ended.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-l", min=1, help="Most runs at once.")] = None,
    with_healthcheck: Annotated[
        bool,
        typer.Option("--with-healthcheck", help="Answer GET /health at SEMPRE_WORKER_WEBSERVER_HOST and _PORT."),
    ] = False,
    install_policy: Annotated[
        str,
        typer.Option("--install-policy", help=f"Whether to install what the type needs: {', '.join(_POLICIES)}."),
    ] = "prompt",
    base_job_template: Annotated[
        Path | None,
        typer.Option("--base-job-template", help="JSON or YAML with the job template of a pool that is created."),
    ] = None,
    create_pool_if_not_found: Annotated[
        bool, typer.Option("--create-pool-if-not-found/--no-create-pool-if-not-found", help="Create a missing pool.")
    ] = True,
) -> None:
    """Start a worker: it takes runs from a work pool and starts a process, container or job for each.

    Examples: `sempre worker start --pool mine`, `sempre worker start -p mine --type process --limit 4 -q high`

    The first SIGTERM or Ctrl-C lets the runs finish and takes no new ones, the second kills them. A worker that died is
    best started again under the same name: it finds the runs it had started. Exit codes: 0 stopped as asked, 1 it could
    not begin.
    """
    if install_policy not in _POLICIES:
        raise CliError(f"--install-policy is one of {', '.join(_POLICIES)}, not {install_policy!r}.")
    pool = pool or _ask_for_pool()
    infrastructure = _infrastructure(kind or _type_of(pool), install_policy)
    template = None if base_job_template is None else read_document(base_job_template)

    from sempre.client.errors import ClientError
    from sempre.sdk.loggers import setup
    from sempre.sdk.serving.health import HealthPortError
    from sempre.workers.base import InfrastructureError
    from sempre.workers.pools import PoolError
    from sempre.workers.worker import Worker

    setup()
    try:
        worker = Worker(
            infrastructure, pool, name=name, work_queues=work_queue or (), limit=limit,
            prefetch_seconds=prefetch_seconds, create_pool_if_not_found=create_pool_if_not_found,
            base_job_template=template,
        )  # fmt: skip
        asyncio.run(worker.run(run_once=run_once, with_healthcheck=with_healthcheck, last=True))
    except (PoolError, InfrastructureError, HealthPortError, ClientError) as error:
        raise CliError(str(error)) from error


def _ask_for_pool() -> str:
    if not sys.stdin.isatty():
        raise CliError("Missing required option '--pool' / '-p'.")
    answer: str = typer.prompt("Which work pool should the worker take runs from?")
    return answer


def _type_of(pool: str) -> str:
    """The type of workers that a pool wants."""
    found = find_if_there(open_api(), WORK_POOL, pool)
    if found is None:
        raise CliError(
            f"There is no work pool {pool!r}, so its type must be named: `sempre worker start --pool {pool} --type "
            "process` creates it."
        )
    kind = str(found["type"])
    if kind.endswith((":push", ":managed")):
        raise CliError(f"Work pool {pool!r} is of type {kind!r}, whose runs need no worker.")
    return kind


def _infrastructure(kind: str, policy: str) -> type[Infrastructure]:
    from sempre.workers.types import TYPES, MissingLibrary, UnknownType, infrastructure_of

    try:
        extra = TYPES[kind].extra if kind in TYPES else None
        if policy == "always" and extra:
            _install(extra)
        return infrastructure_of(kind)
    except UnknownType as error:
        raise CliError(str(error)) from None
    except MissingLibrary as error:
        if not _may_install(error, policy):
            raise CliError(str(error)) from None
        _install(error.extra)
        return infrastructure_of(kind)


def _may_install(missing: Any, policy: str) -> bool:
    if policy == "if-not-present":
        return True
    return policy == "prompt" and sys.stdin.isatty() and typer.confirm(f"{missing}. Install it now?")


def _install(extra: str) -> None:
    command = [sys.executable, "-m", "pip", "install", f"sempre[{extra}]"]
    if subprocess.run(command, check=False).returncode != 0:  # noqa: S603
        raise CliError(f"{' '.join(command)} failed; see above.")
