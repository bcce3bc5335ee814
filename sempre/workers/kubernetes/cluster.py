"""The API of a cluster: plain requests and plain JSON, over connections and credentials of `kubernetes_asyncio`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
from kubernetes_asyncio import config as loading
from kubernetes_asyncio.client import ApiClient, Configuration

from sempre.workers.base import InfrastructureError
from sempre.workers.kubernetes.errors import ClusterAway, ClusterRefused

__all__ = ["Cluster", "Kind"]

REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 10.0
WATCH_SECONDS = 240  # then the cluster ends a watch, and another one is begun
PAGE = 500
PATCH_HEADERS = {"Content-Type": "application/merge-patch+json"}


class Kind:
    """Plural names of what is asked for."""

    JOBS = "/apis/batch/v1", "jobs"
    PODS = "/api/v1", "pods"
    SECRETS = "/api/v1", "secrets"


def path_of(kind: tuple[str, str], namespace: str | None, name: str | None = None) -> str:
    """The path of a list in a namespace (None: in all), or of one object."""
    root, plural = kind
    place = "" if namespace is None else f"/namespaces/{quote(namespace, safe='')}"
    return f"{root}{place}/{plural}" + ("" if name is None else f"/{quote(name, safe='')}")


class Cluster:
    """Speaks to one cluster. Every method raises ClusterAway or ClusterRefused."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @classmethod
    async def connect(cls, chosen: Mapping[str, Any] | None = None) -> Cluster:
        """To the cluster of a configuration block (`config`: a kubeconfig, `context_name`), else to the one this
        process runs in, else to that of its kubeconfig. Raises InfrastructureError if there is none."""
        configuration = Configuration()
        try:
            if chosen:
                await loading.load_kube_config_from_dict(
                    chosen.get("config"), context=chosen.get("context_name"), client_configuration=configuration
                )
            else:
                try:
                    loading.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
                except loading.ConfigException:
                    # Said now, not when the library was imported.
                    file = os.environ.get("KUBECONFIG") or None
                    await loading.load_kube_config(config_file=file, client_configuration=configuration)
        except (loading.ConfigException, OSError, TypeError) as error:
            raise InfrastructureError(
                f"There is no Kubernetes cluster to create jobs in: {error}. Run the worker in a pod with a service "
                "account, set KUBECONFIG, or name a cluster in the work pool."
            ) from None
        configuration.connection_pool_maxsize = 0  # watches and logs hold connections for long
        return cls(ApiClient(configuration))

    async def close(self) -> None:
        await self._client.close()

    # --- objects ---------------------------------------------------------------------------------------

    async def create(self, kind: tuple[str, str], thing: Mapping[str, Any]) -> dict[str, Any]:
        path = path_of(kind, thing["metadata"]["namespace"])
        return await self._json(f"create a {thing['kind']}", "POST", path, body=thing)

    async def read(self, kind: tuple[str, str], namespace: str, name: str) -> dict[str, Any] | None:
        """The object, None if there is none."""
        try:
            return await self._json(f"read {kind[1]}", "GET", path_of(kind, namespace, name))
        except ClusterRefused as refused:
            if refused.status == 404:
                return None
            raise

    async def patch(self, kind: tuple[str, str], namespace: str, name: str, change: Mapping[str, Any]) -> None:
        await self._json(
            f"change {kind[1]}", "PATCH", path_of(kind, namespace, name), body=change, headers=PATCH_HEADERS
        )

    async def delete(self, kind: tuple[str, str], namespace: str, name: str, *, grace: float | None = None) -> bool:
        """Delete the object when all that it made is gone. False if there is none."""
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
        if grace is not None:
            body["gracePeriodSeconds"] = int(grace)
        try:
            await self._json(f"delete {kind[1]}", "DELETE", path_of(kind, namespace, name), body=body)
        except ClusterRefused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    async def list(
        self, kind: tuple[str, str], namespace: str | None, selector: str
    ) -> tuple[list[dict[str, Any]], str]:
        """All objects with these labels, and the version of the list to watch from."""
        query = {"labelSelector": selector, "limit": str(PAGE)}
        found: list[dict[str, Any]] = []
        while True:
            page = await self._json(f"list {kind[1]}", "GET", path_of(kind, namespace), query=query)
            found += map(_lean, page.get("items") or ())
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return found, str(metadata.get("resourceVersion") or "")
            query = {**query, "continue": metadata["continue"]}

    # --- streams ---------------------------------------------------------------------------------------

    async def watch(
        self, kind: tuple[str, str], namespace: str | None, selector: str, version: str
    ) -> AsyncGenerator[dict[str, Any]]:
        """Changes after a version: `{"type": "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR", "object": ...}`,
        until the cluster has enough."""
        query = {
            "labelSelector": selector, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }  # fmt: skip
        stream = self._lines(f"watch {kind[1]}", path_of(kind, namespace), query, WATCH_SECONDS + CONNECT_SECONDS)
        async with contextlib.aclosing(stream) as lines:
            async for line in lines:
                change: dict[str, Any] = json.loads(line)
                _lean(change.get("object") or {})
                yield change

    async def log(
        self, namespace: str, pod: str, *, tail: int | None = None, since: str | None = None, follow: bool = False
    ) -> AsyncGenerator[str]:
        """Lines of the pod's container, each with the time at which it was written and a blank in front."""
        query = {"timestamps": "true", "follow": "true" if follow else "false"}
        for key, value in (("tailLines", tail), ("sinceTime", since)):
            if value is not None:
                query[key] = str(value)
        path = f"{path_of(Kind.PODS, namespace, pod)}/log"
        stream = self._lines("read the log of a pod", path, query, None if follow else REQUEST_SECONDS)
        async with contextlib.aclosing(stream) as lines:
            async for line in lines:
                yield line.decode(errors="replace")

    # --- requests --------------------------------------------------------------------------------------

    async def _json(
        self, what: str, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, connect=CONNECT_SECONDS)
        async with self._answer(what, method, path, query, body, headers, timeout) as answer:
            parsed: dict[str, Any] = json.loads(await answer.read())
            return parsed

    async def _lines(
        self, what: str, path: str, query: Mapping[str, str], silence: float | None
    ) -> AsyncGenerator[bytes]:
        """`silence` is how long nothing may come, in seconds."""
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=silence)
        async with self._answer(what, "GET", path, query, None, None, timeout) as answer:
            # Lines have no greatest length: a pod's manifest may be long.
            rest: list[bytes] = []
            async for chunk in answer.content.iter_any():
                *whole, last = chunk.split(b"\n")
                for line in whole:
                    yield b"".join((*rest, line))
                    rest = []
                if last:
                    rest.append(last)
            if rest:
                yield b"".join(rest)

    @contextlib.asynccontextmanager
    async def _answer(
        self, what: str, method: str, path: str, query: Mapping[str, str] | None, body: Any,
        headers: Mapping[str, str] | None, timeout: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:  # fmt: skip
        try:
            answer: aiohttp.ClientResponse = await self._client.call_api(
                path, method, query_params=list((query or {}).items()), body=body, auth_settings=["BearerToken"],
                header_params={"Accept": "application/json", **(headers or {})}, _preload_content=False,
                _request_timeout=timeout,
            )  # fmt: skip
            async with answer:
                if answer.status >= 400:
                    raise ClusterRefused(what, answer.status, await answer.read())
                yield answer
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            sent = not isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            raise ClusterAway(f"The cluster did not answer when asked to {what}: {reason}", may_be_done=sent) from None


def _lean(thing: dict[str, Any]) -> dict[str, Any]:
    """Without the record of who changed what: nobody reads it, and it is half of a pod."""
    (thing.get("metadata") or {}).pop("managedFields", None)
    return thing
