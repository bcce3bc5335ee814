"""Flow runs as Docker containers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import aiodocker
import aiohttp

from sempre.client import shipping
from sempre.settings import ClientSettings
from sempre.workers.base import Found, Infrastructure, NotStartedNow
from sempre.workers.configuration import JobConfiguration
from sempre.workers.docker import settings as own_settings
from sempre.workers.docker.container import START_LABEL, Plan, plan
from sempre.workers.docker.engine import connect
from sempre.workers.docker.errors import ContainerError
from sempre.workers.docker.events import container_event, finished_at
from sempre.workers.docker.images import UNREACHABLE, provide, pull_policy
from sempre.workers.docker.output import copy_output
from sempre.workers.output import copied

__all__ = ["DockerInfrastructure"]

CONFLICT, NOT_FOUND, NOT_MODIFIED = 409, 404, 304
PAUSE_SECONDS = 2.0
ADOPTED_AFTER_END = timedelta(days=1)
MOST_NAMES = 100

_TROUBLE = (aiodocker.DockerError, aiohttp.ClientError, OSError)  # the last one: a time that is up, too

log = logging.getLogger("sempre.workers.docker")


class DockerInfrastructure(Infrastructure):
    """A container for each run. Containers outlive the worker; the next one of its name adopts them."""

    type: ClassVar[str] = "docker"
    command: ClassVar[tuple[str, ...]] = ("prefect", "flow-run", "execute")  # the image may be the stock client's
    stays: ClassVar[bool] = True

    def __init__(self, *, worker_name: str, work_pool_name: str, settings: ClientSettings) -> None:
        super().__init__(worker_name=worker_name, work_pool_name=work_pool_name, settings=settings)
        self._own = own_settings.resolve()
        self._docker: aiodocker.Docker | None = None
        self._address = ""
        self._fresh: set[str] = set()

    @property
    def docker(self) -> aiodocker.Docker:
        assert self._docker is not None, "the infrastructure is not open"
        return self._docker

    async def open(self) -> None:
        self._docker, self._address = connect()
        try:
            await self.docker.version()
        except _TROUBLE as error:
            await self.close()
            raise ContainerError(
                f"The Docker engine at {self._address} does not answer: {error}. Start it, or set DOCKER_HOST."
            ) from None

    async def close(self) -> None:
        docker, self._docker = self._docker, None
        if docker is not None:
            await docker.close()
            await docker.connector.close()

    async def start(self, job: JobConfiguration) -> str:
        planned = plan(job, start_id=uuid4().hex, image=self._own.default_image, command=self.command)
        policy = pull_policy(job.values.get("image_pull_policy"), planned.image)
        try:
            await provide(self.docker, planned.image, policy, job.values.get("registry_credentials"))
            container_id = await self._create(planned)
        except (*_TROUBLE, ValueError) as error:
            if _is_away(error):
                raise NotStartedNow(f"The Docker engine at {self._address} does not answer: {error}") from None
            raise ContainerError(f"The container could not be created: {error}") from None
        try:
            await self._tell(container_id, "created", job)
            for network in planned.more_networks:
                await (await self.docker.networks.get(network)).connect({"Container": container_id})
            async with asyncio.timeout(job.values.get("container_wait_timeout")):
                await self.docker.containers.container(container_id).start()
        except _TROUBLE as error:
            away = _is_away(error)
            if not await self._has_begun(container_id, unclear=away):
                if away and not isinstance(error, TimeoutError):
                    raise NotStartedNow(f"The Docker engine at {self._address} does not answer: {error}") from None
                why = str(error) or "it took too long"
                raise ContainerError(f"The container could not be started: {why}.") from None
        self._fresh.add(container_id)
        return f"{self._address}:{container_id}"

    async def watch(self, job: JobConfiguration, identifier: str) -> int | None:
        container_id = self._id_of(identifier)
        await self._tell(container_id, "running", job)
        # What was printed before a restart of the worker was copied before it.
        since = None if container_id in self._fresh else datetime.now(UTC)
        copying = copy_output(self.docker, container_id, since) if job.stream_output else None
        try:
            async with copied(copying):
                return await self._ended(container_id, job)
        finally:
            self._fresh.discard(container_id)

    async def kill(self, job: JobConfiguration, identifier: str, grace: float) -> None:
        await self._stop(self._id_of(identifier), grace)

    async def find(self) -> list[Found]:
        labels = [f"io.prefect.worker-name={self.worker_name}", f"io.prefect.work-pool-name={self.work_pool_name}"]
        filters = json.dumps({"label": labels})
        found: dict[UUID, Found] = {}
        listed = await self.docker.containers.list(all=1, filters=filters)
        shown = [each for container in listed if (each := await self._show(container.id, strict=True)) is not None]
        for each in sorted(shown, key=lambda each: str(each["Created"])):  # the last one of a run counts
            ended = finished_at(each)
            if each["State"]["Status"] == "created" and not await self._has_begun(each["Id"], unclear=False):
                continue  # the worker died between creating and starting it
            if ended is None or ended > datetime.now(UTC) - ADOPTED_AFTER_END:
                run_id = UUID(each["Config"]["Labels"]["io.prefect.flow-run-id"])
                found[run_id] = Found(flow_run_id=run_id, identifier=f"{self._address}:{each['Id']}")
        return list(found.values())

    async def clean_up(self, found: Found) -> bool:
        address, _, container_id = found.identifier.rpartition(":")
        shown = await self._show(container_id) if container_id else None
        if shown is None:  # it is gone only if this is the engine it was on
            return address == self._address and not address.startswith("unix://")
        if (shown["Config"].get("Labels") or {}).get("io.prefect.flow-run-id") != str(found.flow_run_id):
            return False
        await self._stop(container_id, 30)
        return True

    def explain(self, exit_code: int) -> str | None:
        return _MEANINGS.get(exit_code)

    # --- steps -----------------------------------------------------------------------------------------

    async def _create(self, planned: Plan) -> str:
        """Create the container under the first free name. A try whose answer was lost is recognised by its label."""
        number = failures = 0
        while True:
            name = planned.name if number == 0 else f"{planned.name}-{number}"
            try:
                return (await self.docker.containers.create(planned.body, name=name)).id
            except aiodocker.DockerError as error:
                if error.status == CONFLICT and number < MOST_NAMES:
                    holder = await self._show(name, strict=True)
                    labels = ((holder or {}).get("Config") or {}).get("Labels") or {}
                    if holder is not None and labels.get(START_LABEL) == planned.body["Labels"][START_LABEL]:
                        return str(holder["Id"])
                    number += 1
                elif error.status < 500 or failures == 2:
                    raise
                else:
                    failures += 1
                    await asyncio.sleep(PAUSE_SECONDS)

    async def _ended(self, container_id: str, job: JobConfiguration) -> int | None:
        container = self.docker.containers.container(container_id)
        while True:
            try:
                answer = await container.wait()
                await self._tell(container_id, "exited", job)
                return int(answer["StatusCode"])
            except aiodocker.DockerError as error:
                if error.status == NOT_FOUND:
                    return None
                log.debug("Waiting for container %s: %s", container_id, error)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                log.debug("Waiting for container %s: %s", container_id, error)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _has_begun(self, container_id: str, *, unclear: bool) -> bool:
        """Whether a container runs, or has run, whose start failed or (`unclear`) was not confirmed. If not, it is gone
        from now on, so that a request to start it which is still on its way finds nothing to start. An answer is waited
        for, however long it takes: a run that may have begun must not be given to somebody else."""
        container = self.docker.containers.container(container_id)
        while True:
            try:
                shown = await container.show()
                if shown["State"]["Running"] or finished_at(shown) is not None:
                    return True
                # Not by force: the engine refuses this if it was started meanwhile, and nobody could tell any more.
                await container.delete(v=True)
                return False
            except _TROUBLE as error:
                status = getattr(error, "status", None)
                if status == NOT_FOUND:  # some are removed when they have run
                    return unclear
                if status != CONFLICT:
                    log.warning("Whether container %s runs is not known: %s; asking again.", container_id, error)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _stop(self, container_id: str, grace: float) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns when the container has ended."""
        container = self.docker.containers.container(container_id)
        while True:
            try:
                await container.stop(t=int(grace))
                return
            except aiodocker.DockerError as error:
                if error.status in (NOT_FOUND, NOT_MODIFIED):
                    return
                log.warning("Container %s could not be stopped: %s; trying again.", container_id, error)
            except (aiohttp.ClientError, OSError) as error:
                log.warning("Container %s could not be stopped: %s; trying again.", container_id, error)
            await asyncio.sleep(PAUSE_SECONDS)

    # --- looks -----------------------------------------------------------------------------------------

    async def _show(self, container: str, *, strict: bool = False) -> dict[str, Any] | None:
        """A container by its id or name, None if there is none or, unless `strict`, the engine cannot be asked."""
        try:
            shown: dict[str, Any] = await self.docker.containers.container(container).show()
        except _TROUBLE as error:
            if strict and getattr(error, "status", None) != NOT_FOUND:
                raise
            log.debug("Container %s cannot be looked at: %s", container, error)
            return None
        return shown

    async def _tell(self, container_id: str, status: str, job: JobConfiguration) -> None:
        shown = await self._show(container_id)
        if shown is not None:
            with contextlib.suppress(ValueError):
                shipping.current(self.settings).event(container_event(shown, status, job.related))

    def _id_of(self, identifier: str) -> str:
        return identifier.rpartition(":")[2]


def _is_away(error: Exception) -> bool:
    """The engine did not answer. What it answers with 500 is the request's fault more often than not."""
    return isinstance(error, aiohttp.ClientError | OSError) or getattr(error, "status", 0) >= UNREACHABLE


_MEANINGS = {
    1: "The flow run, or what was to start it, failed; its log says more.",
    125: "The container could not be run.",
    126: "The command of the container cannot be executed.",
    127: "The command of the container is not in the image.",
    137: "The container was killed, most often because it used more memory than its limit.",
    143: "The container was asked to end.",
}
