"""The images of the stand-in Docker engine: pulled, built, tagged and pushed. Of Dockerfiles it knows that `RUN exit 3`
fails with 3; a push needs the account of its registry, where there is one."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tarfile
import tempfile
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from aiohttp import web

Object = dict[str, Any]
SHOWN_BYTES = 100_000  # of a file of a context


@dataclass
class Build:
    """What was asked for: the query, the files of the context, and the registries that logins were given for."""

    query: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    logins: list[str] = field(default_factory=list)

    @property
    def dockerfile(self) -> str:
        return self.files[self.query["dockerfile"]]


@dataclass
class Images:
    here: dict[str, str] = field(default_factory=dict)
    """Ids by names with tags."""
    registry: dict[str, str | None] = field(default_factory=dict)
    """What can be pulled, with the `user:password` that it takes."""
    accounts: dict[str, str] = field(default_factory=dict)
    """The `user:password` that a registry's name takes for pushes; others take them from everybody."""
    pulls: list[str] = field(default_factory=list)
    builds: list[Build] = field(default_factory=list)
    pushes: list[tuple[str, str | None]] = field(default_factory=list)
    """Images, and whose login was tried."""

    def add(self, *names: str) -> None:
        for name in names:
            self.here[name] = f"sha256:{uuid4().hex * 2}"

    async def route(self, request: web.Request, path: str) -> web.StreamResponse | None:
        """The answer; None for paths of other things."""
        if path == "/build":
            return await self._build(request)
        if path == "/images/create":
            return await self._pull(request)
        if not (found := re.fullmatch(r"/images/(.+)/(json|tag|push)", path)):
            return None
        name, verb = found[1], found[2]
        if verb == "push":
            return await self._push(request, name)
        id = self.here.get(tagged(name))
        if id is None:
            return error(404, f"No such image: {name}")
        if verb == "json":
            return web.json_response({"Id": id, "RepoTags": [each for each, other in self.here.items() if other == id]})
        self.here[f"{request.query['repo']}:{request.query['tag']}"] = id
        return web.Response(status=201)

    async def _build(self, request: web.Request) -> web.StreamResponse:
        build = Build(dict(request.query))
        build.logins = sorted(_decoded(request.headers.get("X-Registry-Config")))
        self.builds.append(build)
        assert request.headers["Content-Type"] == "application/tar"
        await _unpack(request, build)
        name = request.query["dockerfile"]
        if name not in build.files:
            return error(500, f"Cannot locate specified Dockerfile: {name}")
        lines = [line for line in build.files[name].splitlines() if line.strip()]
        if not lines:
            return error(400, "the Dockerfile cannot be empty")
        answer = await _stream(request)
        for number, line in enumerate(lines, 1):
            await _tell(answer, stream=f"Step {number}/{len(lines)} : {line}")
            await _tell(answer, stream="\n")
            if failed := re.fullmatch(r"RUN exit (\d+)", line):
                said = f"The command '/bin/sh -c exit {failed[1]}' returned a non-zero code: {failed[1]}"
                await _fail(answer, said, code=int(failed[1]))
                return answer
        id = hashlib.sha256(repr((lines, sorted(build.files.items()))).encode()).hexdigest()
        self.here[tagged(request.query["t"])] = f"sha256:{id}"
        await _tell(answer, aux={"ID": f"sha256:{id}"})
        await _tell(answer, stream=f"Successfully built {id[:12]}\n")
        await _tell(answer, stream=f"Successfully tagged {request.query['t']}\n")
        return answer

    async def _push(self, request: web.Request, name: str) -> web.StreamResponse:
        if "X-Registry-Auth" not in request.headers:
            return error(400, "missing X-Registry-Auth: invalid X-Registry-Auth header: EOF")
        image = f"{name}:{request.query['tag']}"
        login = _login(request)
        self.pushes.append((image, login and login.partition(":")[0]))
        answer = await _stream(request)
        await _tell(answer, status=f"The push refers to repository [{name}]")
        if image not in self.here:
            await _fail(answer, f"An image does not exist locally with the tag: {name}")
            return answer
        if self.accounts.get(name.partition("/")[0], login) != login:
            await _fail(answer, "denied: requested access to the resource is denied" if login else "no basic auth")
            return answer
        layer = {"id": "5f70bf18a086"}
        await _tell(answer, status="Preparing", progressDetail={}, **layer)
        for current in (512, 1024):
            await _tell(answer, status="Pushing", progressDetail={"current": current, "total": 1024}, **layer)
        await _tell(answer, status="Pushed", progressDetail={}, **layer)
        digest = self.here[image]
        await _tell(answer, status=f"{request.query['tag']}: digest: {digest} size: 528")
        await _tell(answer, progressDetail={}, aux={"Tag": request.query["tag"], "Digest": digest, "Size": 528})
        self.registry[image] = login
        return answer

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        name = request.query["fromImage"]
        image = tagged(name if "tag" not in request.query else f"{name}:{request.query['tag']}")
        self.pulls.append(image)
        answer = await _stream(request)
        if image not in self.registry or self.registry[image] not in (None, _login(request)):
            await _fail(answer, f"pull access denied for {name}")
        else:
            await _tell(answer, status="Pull complete")
            self.add(image.removeprefix("docker.io/library/"), image)
        return answer


def tagged(image: str) -> str:
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"


def error(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


async def _unpack(request: web.Request, build: Build) -> None:
    """Contexts may be large, so the body goes to a file first."""
    with tempfile.TemporaryFile() as body:
        async for chunk in request.content.iter_chunked(1 << 20):
            body.write(chunk)
        body.seek(0)
        with tarfile.open(fileobj=body) as tar:
            for member in tar:
                if member.isfile() and (content := tar.extractfile(member)) is not None:
                    build.files[member.name] = content.read(SHOWN_BYTES).decode(errors="replace")
                    build.sizes[member.name] = member.size


def _decoded(header: str | None) -> Object:
    """The keys of a login come in both cases."""
    found: Object = json.loads(base64.urlsafe_b64decode(header)) if header else {}
    return {name.lower(): value for name, value in found.items()}


def _login(request: web.Request) -> str | None:
    given = _decoded(request.headers.get("X-Registry-Auth"))
    return f"{given['username']}:{given['password']}" if given.get("username") else None


async def _stream(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    return answer


async def _tell(answer: web.StreamResponse, **event: Any) -> None:
    await answer.write(json.dumps(event).encode() + b"\r\n")


async def _fail(answer: web.StreamResponse, message: str, **detail: Any) -> None:
    """Without the text in `error`, which is deprecated."""
    await _tell(answer, errorDetail={**detail, "message": message})
