"""A stand-in of the Kubernetes API server for jobs, pods, secrets and logs: lists in pages, watches with bookmarks and
expiry, name generation, conflicts, merge patches, schema checks. Tests play kubelet, scheduler and job controller."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from aiohttp import web

from tests.support.kube_schema import problems

Object = dict[str, Any]
EPOCH = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)


@dataclass
class Fault:
    """What happens to the next requests of a kind: a status, or `drop` before or after they were carried out."""

    method: str
    path: str
    status: int | None = None
    carried_out: bool = False
    times: int = 1
    late: bool = False
    """Its answer is lost, and it is carried out when the test says so."""


@dataclass
class KubeApi:
    url: str = ""
    version: int = 100
    oldest: int = 0
    """Watches from before this version have expired."""
    things: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    """(plural, namespace, name) -> object."""
    logs: dict[str, list[str]] = field(default_factory=dict)
    """Pod -> lines with the times they were written at."""
    faults: list[Fault] = field(default_factory=list)
    on_their_way: list[web.Request] = field(default_factory=list)
    """Requests that are late."""
    forbidden: Callable[[str], bool] = lambda path: False
    requests: list[tuple[str, str]] = field(default_factory=list)
    history: list[tuple[int, str, str, Object]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    watchers: int = 0
    breaks: int = 0
    """Rises to break all streams."""

    def kubeconfig(self) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }

    # --- what tests do ---------------------------------------------------------------------------------

    def all(self, plural: str) -> list[Object]:
        return [thing for (kind, _, _), thing in self.things.items() if kind == plural]

    async def put(self, plural: str, thing: Object) -> Object:
        """Store an object as it is, new or changed."""
        metadata = thing["metadata"]
        key = (plural, metadata["namespace"], metadata["name"])
        kind = "MODIFIED" if key in self.things else "ADDED"
        await self._record(kind, plural, thing)
        self.things[key] = thing
        return thing

    async def remove(self, plural: str, thing: Object) -> None:
        self.things.pop((plural, thing["metadata"]["namespace"], thing["metadata"]["name"]), None)
        await self._record("DELETED", plural, thing)

    async def add_pod(self, job: Object) -> Object:
        """The pod that the job controller makes."""
        metadata = copy.deepcopy(job["spec"]["template"].get("metadata", {}))
        name = job["metadata"]["name"]
        metadata |= {"name": f"{name}-{uuid4().hex[:5]}", "namespace": job["metadata"]["namespace"]}
        metadata["labels"] = {**metadata.get("labels", {}), "job-name": name}
        return await self.put("pods", self._born({"metadata": metadata, "status": {"phase": "Pending"}}))

    async def pod(self, pod: Object, phase: str, state: Object | None = None, **status: Any) -> Object:
        """Let a pod's status be this; `state` is that of its container."""
        changed = copy.deepcopy(pod)
        changed["status"] = {**changed["status"], "phase": phase, **status}
        if state is not None:
            changed["status"]["containerStatuses"] = [{"name": "prefect-job", "image": "some:image", "state": state}]
        return await self.put("pods", changed)

    async def run(self, pod: Object) -> Object:
        return await self.pod(pod, "Running", {"running": {"startedAt": self.time(1)}})

    async def end(self, pod: Object, code: int, **more: Any) -> Object:
        ended = {"exitCode": code, "startedAt": self.time(1), "finishedAt": self.time(2), **more}
        return await self.pod(pod, "Failed" if code else "Succeeded", {"terminated": ended})

    async def end_job(self, job: Object, *, failed: bool = False) -> Object:
        changed = copy.deepcopy(self.things["jobs", job["metadata"]["namespace"], job["metadata"]["name"]])
        condition = {"type": "Failed" if failed else "Complete", "status": "True"}
        changed["status"] = {"conditions": [condition], "failed" if failed else "succeeded": 1}
        return await self.put("jobs", changed)

    async def break_streams(self) -> None:
        async with self.changed:
            self.breaks += 1
            self.changed.notify_all()

    async def land(self) -> None:
        """Carry out what is on its way, in the order in which it was sent."""
        late, self.on_their_way = self.on_their_way, []
        for request in late:
            await self._route(request)

    def expire(self) -> None:
        """Forget all versions up to now."""
        self.oldest = self.version

    @staticmethod
    def time(minutes: float) -> str:
        return (EPOCH + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")

    # --- storage ---------------------------------------------------------------------------------------

    def _born(self, thing: Object) -> Object:
        metadata = thing["metadata"]
        metadata |= {"uid": str(uuid4()), "creationTimestamp": self.time(0)}
        metadata["managedFields"] = [{"manager": "test"}]
        return thing

    async def _record(self, kind: str, plural: str, thing: Object) -> None:
        async with self.changed:
            self.version += 1
            thing["metadata"]["resourceVersion"] = str(self.version)
            self.history.append((self.version, kind, plural, copy.deepcopy(thing)))
            self.changed.notify_all()

    # --- requests --------------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        if request.headers.get("Authorization") != "Bearer secret":
            return _status(401, "Unauthorized", "Unauthorized")
        if self.forbidden(request.path):
            return _status(403, "Forbidden", "you may not")
        fault = self._fault(request)
        if fault is not None and fault.late:
            await request.read()
            self.on_their_way.append(request)
            return self._strike(request, fault)
        if fault is not None and not fault.carried_out:
            return self._strike(request, fault)
        answer = await self._route(request)
        return self._strike(request, fault) if fault is not None else answer

    def _fault(self, request: web.Request) -> Fault | None:
        for fault in self.faults:
            if fault.method == request.method and re.search(fault.path, request.path) and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _strike(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.status is not None:
            return _status(fault.status, "ServerError", "a fault of the test")
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _route(self, request: web.Request) -> web.StreamResponse:
        found = re.fullmatch(
            r"/(?:api/v1|apis/batch/v1)(?:/namespaces/([^/]+))?/(jobs|pods|secrets)(?:/([^/]+))?(/log)?", request.path
        )
        if found is None:
            return _status(404, "NotFound", request.path)
        namespace, plural, name, log = found.groups()
        if log:
            return await self._log(request, name)
        if name is None:
            if request.method == "POST":
                return await self._create(await request.json(), plural, namespace)
            watches = request.query.get("watch") == "true"
            return await (self._watch if watches else self._list)(request, plural, namespace)
        thing = self.things.get((plural, namespace, name))
        if thing is None:
            return _status(404, "NotFound", f'{plural} "{name}" not found')
        if request.method == "PATCH":
            assert request.content_type == "application/merge-patch+json"
            await self.put(plural, _merged(copy.deepcopy(thing), await request.json()))
        elif request.method == "DELETE":
            await self._delete(await request.json(), plural, thing)
        return web.json_response(self.things.get((plural, namespace, name), thing))

    async def _create(self, thing: Object, plural: str, namespace: str) -> web.StreamResponse:
        wrong = problems(thing)
        if wrong:
            return _status(422, "Invalid", "; ".join(wrong))
        metadata = thing["metadata"]
        assert metadata["namespace"] == namespace
        metadata.setdefault("name", f"{metadata.get('generateName', '')}{uuid4().hex[:5]}")
        if (plural, namespace, metadata["name"]) in self.things:
            return _status(409, "AlreadyExists", f'{plural} "{metadata["name"]}" already exists')
        await self.put(plural, self._born(thing))
        return web.json_response(thing, status=201)

    async def _delete(self, options: Object, plural: str, thing: Object) -> None:
        if plural == "jobs":
            assert options["propagationPolicy"] == "Foreground"
            for pod in self.all("pods"):
                if pod["metadata"]["labels"].get("job-name") == thing["metadata"]["name"]:
                    await self.remove("pods", pod)
        await self.remove(plural, thing)

    async def _list(self, request: web.Request, plural: str, namespace: str | None) -> web.StreamResponse:
        selects = _selector(request.query.get("labelSelector", ""))
        found = [thing for thing in self.all(plural) if _here(thing, namespace) and selects(thing)]
        begin, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", 500))
        metadata = {"resourceVersion": str(self.version)}
        if begin + limit < len(found):
            metadata["continue"] = str(begin + limit)
        return web.json_response({"items": found[begin : begin + limit], "metadata": metadata})

    async def _watch(self, request: web.Request, plural: str, namespace: str | None) -> web.StreamResponse:
        selects = _selector(request.query.get("labelSelector", ""))
        assert request.query["allowWatchBookmarks"] == "true"
        position, breaks = int(request.query["resourceVersion"]), self.breaks
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        self.watchers += 1
        try:
            while self.breaks == breaks:
                if position < self.oldest:
                    await _send(answer, "ERROR", {"kind": "Status", "code": 410, "message": "too old"})
                    break
                new = [item for item in self.history if item[0] > position]
                for _, kind, what, thing in new:
                    if what == plural and _here(thing, namespace) and selects(thing):
                        await _send(answer, kind, thing)
                if new:
                    position = new[-1][0]
                    await _send(answer, "BOOKMARK", {"metadata": {"resourceVersion": str(position)}})
                seen = position
                async with self.changed:
                    await self.changed.wait_for(lambda: self.version > seen or self.breaks != breaks)  # noqa: B023
        finally:
            self.watchers -= 1
        return answer

    async def _log(self, request: web.Request, name: str) -> web.StreamResponse:
        lines = list(self.logs.get(name, []))
        since = request.query.get("sinceTime")
        if since is not None:  # whole seconds, as the cluster does
            lines = [line for line in lines if line[:19] >= since[:19]]
        lines = lines[-int(request.query["tailLines"]) :] if "tailLines" in request.query else lines
        answer = web.StreamResponse()
        await answer.prepare(request)
        for line in lines:
            await answer.write(f"{line}\n".encode())
        return answer


def _here(thing: Object, namespace: str | None) -> bool:
    return namespace is None or thing["metadata"]["namespace"] == namespace


def _selector(text: str) -> Callable[[Object], bool]:
    def selects(thing: Object) -> bool:
        labels = thing["metadata"].get("labels") or {}
        for term in filter(None, text.split(",")):
            key, equals, value = term.partition("=")
            if not (labels.get(key) == value if equals else key in labels):
                return False
        return True

    return selects


def _merged(thing: Object, change: Object) -> Object:
    for key, value in change.items():
        if value is None:
            thing.pop(key, None)
        elif isinstance(value, dict):
            thing[key] = _merged(dict(thing.get(key) or {}), value)
        else:
            thing[key] = value
    return thing


def _status(code: int, reason: str, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "reason": reason, "message": message}, status=code)


async def _send(answer: web.StreamResponse, kind: str, thing: Object) -> None:
    # In two pieces: nobody may take a chunk for a line.
    text = json.dumps({"type": kind, "object": thing}).encode() + b"\n"
    await answer.write(text[:10])
    await answer.write(text[10:])


@asynccontextmanager
async def open_kube_api() -> AsyncIterator[KubeApi]:
    kube = KubeApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", kube.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    kube.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield kube
    finally:
        await kube.break_streams()
        await runner.cleanup()
