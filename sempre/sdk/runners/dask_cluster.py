"""Tasks on a Dask cluster."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from sempre.sdk.futures import Future, wait
from sempre.sdk.runners.base import TaskRunner
from sempre.sdk.runners.carried import Told, execute_carrying
from sempre.sdk.runners.clusters import cluster_library
from sempre.sdk.runners.portable import pack, settle

if TYPE_CHECKING:
    import contextvars

    from sempre.sdk.engine.task_run import TaskCall

__all__ = ["DaskTaskRunner"]


class DaskTaskRunner(TaskRunner):
    """Submits tasks to a Dask cluster: the one at ``address``, or ``cluster``, or one that is made for each flow run by
    ``cluster_class`` (a class or its name, `distributed.LocalCluster` by default) and ``cluster_kwargs``.

    ``adapt_kwargs`` let a cluster of its own grow and shrink; ``client_kwargs`` go to `distributed.Client`;
    ``performance_report_path`` is where Dask's report of each flow run is written. Needs `pip install 'sempre[dask]'`,
    here and on the workers, which need not reach the API.
    """

    def __init__(
        self,
        cluster: Any = None,
        address: str | None = None,
        cluster_class: str | Callable[..., Any] | None = None,
        cluster_kwargs: Mapping[str, Any] | None = None,
        adapt_kwargs: Mapping[str, Any] | None = None,
        client_kwargs: Mapping[str, Any] | None = None,
        performance_report_path: str | None = None,
    ) -> None:
        super().__init__()
        if sum(each is not None for each in (cluster, address, cluster_class)) > 1:
            raise ValueError("say one of cluster, address and cluster_class")
        if (cluster is not None or address is not None) and cluster_kwargs:
            raise ValueError("cluster_kwargs are for a cluster that is made for the flow run")
        self._options: dict[str, Any] = {
            "cluster": cluster,
            "address": address,
            "cluster_class": cluster_class,
            "cluster_kwargs": cluster_kwargs,
            "adapt_kwargs": adapt_kwargs,
            "client_kwargs": client_kwargs,
            "performance_report_path": performance_report_path,
        }
        self._client: Any = None
        self._exit = contextlib.ExitStack()
        self._running: dict[Any, Future[Any]] = {}
        self._lock = threading.Lock()
        self._told = Told()
        self._topic = f"sempre-{uuid4().hex}"

    def duplicate(self) -> Self:
        return type(self)(**self._options)

    def opened(self) -> None:
        distributed = cluster_library("distributed", "Dask")
        options = self._options
        with contextlib.ExitStack() as stack:
            place = options["address"] or options["cluster"] or stack.enter_context(self._new_cluster(distributed))
            if options["adapt_kwargs"] is not None and not isinstance(place, str):
                place.adapt(**options["adapt_kwargs"])
            client_options = {"set_as_default": False, **(options["client_kwargs"] or {})}
            self._client = stack.enter_context(distributed.Client(place, **client_options))
            if options["performance_report_path"] is not None:
                # The report asks for the current client.
                stack.enter_context(self._client.as_current())
                stack.enter_context(distributed.performance_report(filename=options["performance_report_path"]))
            topic, told = self._topic, self._told
            self._client.subscribe_topic(topic, lambda event: told(*event[1]))
            self._exit = stack.pop_all()

    def _new_cluster(self, distributed: Any) -> Any:
        kind, options = self._options["cluster_class"], dict(self._options["cluster_kwargs"] or {})
        if kind is None:
            return distributed.LocalCluster(**{"dashboard_address": None, **options})
        if isinstance(kind, str):
            module, _, name = kind.replace(":", ".").rpartition(".")
            kind = getattr(importlib.import_module(module), name)
        return kind(**options)

    def closed(self, failed: bool) -> None:
        # Settling comes after Dask's own end of a call, and needs the client.
        wait(self._running_now().values())
        self._exit.close()

    def interrupt(self) -> None:
        """What has not begun does not. Dask ends nothing that runs, but a cluster made for the run ends with it."""
        self._told.silence()
        handles = list(self._running_now())
        if self._client is not None and handles:
            self._client.cancel(handles, force=True)

    def _running_now(self) -> dict[Any, Future[Any]]:
        with self._lock:
            return dict(self._running)

    def start(self, call: TaskCall, future: Future[Any], context: contextvars.Context) -> None:
        packed = pack(call, future)
        if packed is None:
            return
        key = f"{call.task.name}-{call.run.id}"
        handle = self._client.submit(_execute, packed, self._topic, key=key, pure=False)
        with self._lock:
            self._running[handle] = future
        handle.add_done_callback(lambda done: self._settle(done, call, future))

    def _settle(self, handle: Any, call: TaskCall, future: Future[Any]) -> None:
        try:
            carried = handle.result()
        except BaseException as error:  # a cancellation is no Exception everywhere
            settle(call, future, None, error)
        else:
            settle(call, future, self._told.result(carried), None)
        with self._lock:
            self._running.pop(handle, None)


def _execute(packed: bytes, topic: str) -> bytes:
    """On a worker."""
    worker = cluster_library("distributed", "Dask").get_worker()
    return execute_carrying(packed, lambda kind, content: worker.log_event(topic, (kind, content)))
