"""A stand-in of the Docker engine's API (1.43) on a unix socket: images, containers and their names, logs, waiting,
networks. Tests play the processes in the containers."""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web
from anyio.from_thread import start_blocking_portal

from tests.support.docker_images import Images, error, tagged

Object = dict[str, Any]
NEVER = "0001-01-01T00:00:00Z"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


@dataclass
class Container:
    id: str
    name: str
    body: Object
    status: str = "created"
    code: int = 0
    created: str = field(default_factory=now)
    started: str = NEVER
    finished: str = NEVER
    lines: list[tuple[str, str]] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)

    def shown(self) -> Object:
        state = {
            "Status": self.status, "Running": self.status == "running", "ExitCode": self.code,
            "StartedAt": self.started, "FinishedAt": self.finished,
        }  # fmt: skip
        config = {key: value for key, value in self.body.items() if key not in ("HostConfig", "NetworkingConfig")}
        return {
            "Id": self.id, "Name": f"/{self.name}", "Created": self.created, "State": state,
            "Config": {"Tty": False, **config}, "HostConfig": self.body["HostConfig"],
        }  # fmt: skip


@dataclass
class DockerEngine:
    address: str
    images: Images = field(default_factory=Images)
    networks: set[str] = field(default_factory=lambda: {"bridge", "host"})
    containers: dict[str, Container] = field(default_factory=dict)
    stops: list[tuple[str, int]] = field(default_factory=list)
    drops: list[str] = field(default_factory=list)
    """Paths whose next answer is lost, after what was asked was done."""
    late: dict[str, str] = field(default_factory=dict)
    """Requests (`POST .*start$`) whose answer is lost and that are still on their way: carried out right before the
    next request of the other kind, or when the test says so."""
    on_their_way: list[tuple[str, web.Request]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    broken: int = 0

    def only(self) -> Container:
        [container] = self.containers.values()
        return container

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def print(self, container: Container, text: str) -> None:
        container.lines.append((now(), text))
        await self._tell()

    async def exit(self, container: Container, code: int) -> None:
        container.status, container.code, container.finished = "exited", code, now()
        if container.body["HostConfig"].get("AutoRemove"):
            self.containers.pop(container.id, None)
        await self._tell()

    async def break_streams(self) -> None:
        self.broken += 1
        await self._tell()

    async def land(self, before: str | None = None) -> None:
        """Carry out what is on its way, or what is to come right before a request."""
        for waiting in list(self.on_their_way):
            pattern, request = waiting
            if before is None or re.search(pattern, before):
                self.on_their_way.remove(waiting)
                await self._route(request, request.path.removeprefix("/v1.43"))

    # --- requests --------------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == "/version":
            return web.json_response({"ApiVersion": "1.43", "Version": "24.0"})
        assert path.startswith("/v1.43/"), path
        await self.land(before=f"{request.method} {path}")
        for pattern in self.late:
            if re.search(pattern, f"{request.method} {path}"):
                await request.read()
                self.on_their_way.append((self.late.pop(pattern), request))
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
        answer = await self._route(request, path.removeprefix("/v1.43"))
        for pattern in self.drops:
            if re.search(pattern, path):
                self.drops.remove(pattern)
                assert request.transport is not None
                request.transport.abort()
        return answer

    async def _route(self, request: web.Request, path: str) -> web.StreamResponse:
        if path == "/version":
            return web.json_response({"ApiVersion": "1.43"})
        if (answer := await self.images.route(request, path)) is not None:
            return answer
        if path == "/containers/create":
            return await self._create(await request.json(), request.query["name"])
        if path == "/containers/json":
            return self._list(json.loads(request.query["filters"])["label"])
        if found := re.fullmatch(r"/networks/([^/]+)(/connect)?", path):
            return await self._network(request, found[1], bool(found[2]))
        if found := re.fullmatch(r"/containers/([^/]+)(?:/(\w+))?", path):
            container = self._find(found[1])
            if container is None:
                return error(404, f"No such container: {found[1]}")
            return await self._container(request, container, found[2] or "delete")
        return error(404, "page not found")

    def _find(self, name: str) -> Container | None:
        by_name = {container.name: container for container in self.containers.values()}
        return self.containers.get(name) or by_name.get(name)

    async def _create(self, body: Object, name: str) -> web.StreamResponse:
        if tagged(body["Image"]) not in self.images.here:
            return error(404, f"No such image: {body['Image']}")
        if (holder := self._find(name)) is not None:
            return error(409, f'Conflict. The container name "/{name}" is already in use by container "{holder.id}".')
        assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", name), name
        assert len((body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}) <= 1, "1.43 takes one network"
        container = Container(uuid4().hex * 2, name, body)
        container.networks = [body["HostConfig"].get("NetworkMode", "bridge")]
        self.containers[container.id] = container
        return web.json_response({"Id": container.id, "Warnings": []}, status=201)

    def _list(self, labels: list[str]) -> web.StreamResponse:
        found = [
            {"Id": container.id, "State": container.status}
            for container in self.containers.values()
            if all(container.body["Labels"].get(label.split("=")[0]) == label.split("=")[1] for label in labels)
        ]
        return web.json_response(found)

    async def _network(self, request: web.Request, name: str, connect: bool) -> web.StreamResponse:
        if name not in self.networks:
            return error(404, f"network {name} not found")
        if connect:
            self.containers[(await request.json())["Container"]].networks.append(name)
            return web.Response()
        return web.json_response({"Id": name, "Name": name})

    async def _container(self, request: web.Request, container: Container, verb: str) -> web.StreamResponse:
        if verb == "json":
            return web.json_response(container.shown())
        if verb == "delete":
            if container.status == "running" and "force" not in request.query:
                return error(409, f"You cannot remove a running container {container.id}.")
            del self.containers[container.id]
            return web.Response(status=204)
        if verb == "start":
            if container.body["Cmd"][0] == "missing":
                return error(400, "failed to create task: executable file not found in $PATH: unknown")
            container.status, container.started = "running", now()
            if container.body["Cmd"][0] == "brief":
                await self.exit(container, 1)
            return web.Response(status=204)
        if verb == "stop":
            if container.status != "running":
                return web.Response(status=304)
            self.stops.append((container.id, int(request.query["t"])))
            await self.exit(container, 143)
            return web.Response(status=204)
        if verb == "logs":
            return await self._logs(request, container)
        assert verb == "wait"
        async with self.changed:
            broken = self.broken
            await self.changed.wait_for(lambda: container.status != "running" or self.broken != broken)
        if container.status == "running":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"StatusCode": container.code})

    async def _logs(self, request: web.Request, container: Container) -> web.StreamResponse:
        assert request.query["timestamps"] == request.query["follow"] == "1"
        since = datetime.fromtimestamp(int(request.query.get("since", 0)), UTC).strftime("%Y-%m-%dT%H:%M:%S")
        answer = web.StreamResponse()
        await answer.prepare(request)
        sent, broken = 0, self.broken
        while True:
            for time, text in container.lines[sent:]:
                if time >= since:
                    line = f"{time} {text}\n".encode()
                    await answer.write(struct.pack(">BxxxL", 1, len(line)) + line)
            sent = len(container.lines)
            async with self.changed:
                if container.status != "running" or self.broken != broken:
                    return answer
                if len(container.lines) == sent:
                    await self.changed.wait()


@asynccontextmanager
async def open_docker_engine(folder: Path) -> AsyncIterator[DockerEngine]:
    socket = folder / "docker.sock"
    engine = DockerEngine(f"unix://{socket}")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", engine.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield engine
    finally:
        await engine.break_streams()
        await runner.cleanup()


@contextmanager
def docker_engine(folder: Path) -> Iterator[DockerEngine]:
    """One in a thread of its own, for tests that wait for processes."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(open_docker_engine(folder)) as engine:
        yield engine
