"""Deployments that a process of one's own serves: it executes their runs until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from sempre.client import ClientError, get_client
from sempre.sdk.deploying.runner_deployment import RunnerDeployment
from sempre.sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from sempre.sdk.deploying.storages import CodeStorage

__all__ = ["aserve", "keep_up_to_date", "serve", "settle"]

_PAUSING_SECONDS = 5.0
_log = logging.getLogger("sempre.runner")


def serve(
    *deployments: RunnerDeployment,
    pause_on_shutdown: bool = True,
    print_starting_message: bool = True,
    limit: int | None = -1,
    webserver: bool = False,
) -> None:
    """Make the deployments known and execute their runs, each in a process of its own, until SIGINT or SIGTERM.

    The first signal lets runs finish, the second ends them. ``pause_on_shutdown``: schedules stand still while nobody
    serves. ``limit``: most runs at once (default: the setting; None: any number). ``webserver``: answer health checks.
    Raises ConfigurationError without deployments, or where a loop runs (await :func:`aserve` there).
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise ConfigurationError("A loop runs here already: `await aserve(...)` instead of calling serve(...).")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            aserve(
                *deployments,
                pause_on_shutdown=pause_on_shutdown,
                print_starting_message=print_starting_message,
                limit=limit,
                webserver=webserver,
            )
        )


async def aserve(
    *deployments: RunnerDeployment,
    pause_on_shutdown: bool = True,
    print_starting_message: bool = True,
    limit: int | None = -1,
    webserver: bool = False,
) -> None:
    """As :func:`serve`, to be awaited."""
    from sempre.sdk.serving.runner import Runner

    if not deployments:
        raise ConfigurationError("Say which deployments to serve: serve(my_flow.to_deployment('a-name'), ...).")
    runner = Runner(pause_on_shutdown=pause_on_shutdown, limit=limit, webserver=webserver or None)
    for deployment in deployments:
        settle(deployment)
    for deployment, known in zip(deployments, await _made_known(deployments, pause_on_shutdown), strict=True):
        runner.add_known(known, deployment.storage)
    if print_starting_message:
        _greet(deployments)
    await runner.start()


def settle(deployment: RunnerDeployment) -> None:
    """Whoever serves a deployment wants its schedules to run, and knows where its code is."""
    if deployment.work_pool_name is not None:
        raise ConfigurationError(
            f"{deployment.full_name!r} goes to the work pool {deployment.work_pool_name!r}, whose workers execute its "
            "runs; deploy it instead of serving it."
        )
    if deployment.paused is None:
        deployment.paused = False
    if deployment.storage is not None and deployment.path is None:
        deployment.path = str(deployment.storage.destination)


async def _made_known(deployments: Iterable[RunnerDeployment], pause: bool) -> list[UUID]:
    """All of them, or none that goes on planning runs: nobody would execute them."""
    known: list[UUID] = []
    try:
        for deployment in deployments:
            known.append(await deployment.aapply())  # noqa: PERF401 (those before a failure are known, too)
    except BaseException:
        for id in known if pause else ():
            with contextlib.suppress(ClientError):
                await get_client(patience=_PAUSING_SECONDS).pause_deployment(id)
        raise
    return known


async def keep_up_to_date(storage: CodeStorage) -> None:
    """Pull the code every so often, if the storage says how often."""
    while storage.pull_interval:
        await asyncio.sleep(storage.pull_interval)
        try:
            await asyncio.to_thread(storage.pull_code)
        except Exception as error:
            _log.error(f"The code could not be pulled anew, runs go on with what is there: {error}")


def _greet(deployments: Iterable[RunnerDeployment]) -> None:
    names = [deployment.full_name for deployment in deployments]
    lines = [
        f"Serving {', '.join(names)}. Stop it with Ctrl-C.",
        *(f"Start a run: sempre deployment run '{name}'" for name in names),
    ]
    print("\n".join(lines), flush=True)  # noqa: T201 (who started a script looks at its output)
