"""Tasks on a Ray cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import Future as Handle
from typing import TYPE_CHECKING, Any, Self

from sempre.sdk.futures import Future, wait
from sempre.sdk.runners.base import TaskRunner
from sempre.sdk.runners.carried import Told, execute_carrying
from sempre.sdk.runners.clusters import cluster_library
from sempre.sdk.runners.portable import pack, settle

if TYPE_CHECKING:
    import contextvars

    from sempre.sdk.engine.task_run import TaskCall

__all__ = ["RayTaskRunner"]


class RayTaskRunner(TaskRunner):
    """Submits tasks to the Ray cluster at ``address``, or to one that is started here; ``init_kwargs`` go to
    `ray.init`.

    What a task tells of itself comes home when it has ended. Needs `pip install 'sempre[ray]'`, here and on the
    workers, which need not reach the API.
    """

    def __init__(self, address: str | None = None, init_kwargs: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._address = address
        self._init_kwargs = dict(init_kwargs or {})
        self._ray: Any = None
        self._remote: Any = None
        self._started = False
        self._running: dict[Handle[bytes], tuple[Any, Future[Any]]] = {}
        self._told = Told()

    def duplicate(self) -> Self:
        return type(self)(self._address, self._init_kwargs)

    def opened(self) -> None:
        self._ray = cluster_library("ray", "Ray")
        if not self._ray.is_initialized():
            self._ray.init(address=self._address, **self._init_kwargs)
            self._started = True
        self._remote = self._ray.remote(execute_carrying)

    def closed(self, failed: bool) -> None:
        wait([future for _, future in list(self._running.values())])  # a copy: others end meanwhile
        if self._started:
            self._ray.shutdown()
            self._started = False

    def interrupt(self) -> None:
        self._told.silence()
        for reference, _ in tuple(self._running.values()):
            with contextlib.suppress(Exception):  # it may have ended
                self._ray.cancel(reference)

    def start(self, call: TaskCall, future: Future[Any], context: contextvars.Context) -> None:
        packed = pack(call, future)
        if packed is None:
            return
        reference = self._remote.remote(packed)
        handle: Handle[bytes] = reference.future()
        self._running[handle] = (reference, future)
        handle.add_done_callback(lambda done: self._settle(done, call, future))

    def _settle(self, handle: Handle[bytes], call: TaskCall, future: Future[Any]) -> None:
        error = None if handle.cancelled() else handle.exception()
        if handle.cancelled() or error is not None:
            settle(call, future, None, error)
        else:
            settle(call, future, self._told.result(handle.result()), None)
        self._running.pop(handle, None)
