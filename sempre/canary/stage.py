"""What a canary plays on: a client, names of its own, patience with a limit, and somebody who clears up."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from sempre.canary.canary import CanaryFailed, CanarySkipped
from sempre.canary.offers import OFFERS
from sempre.client import ObjectNotFound, get_client
from sempre.schemas.flow_runs import FlowRunResponse
from sempre.sdk.context import tags
from sempre.sdk.flows import Flow
from sempre.sdk.states import State

__all__ = ["TAG", "Played", "Stage"]

TAG = "canary"
T = TypeVar("T")


@dataclass(frozen=True)
class Played:
    """A flow run that was called here, and its final state."""

    id: UUID
    state: State[Any]


class Stage:
    """One playing of one canary. What it makes on the server has `canary` and a token of this playing in its name, so
    canaries neither meet each other nor anybody else's objects; `close` removes it all, whatever happened."""

    def __init__(self, canary: str, token: str, seconds: float) -> None:
        self.name = f"canary-{canary}-{token}"
        self.seconds = seconds
        self.client = get_client(sync_client=True, patience=seconds)
        self.left_behind: list[str] = []
        self.waits_for = ""
        self._deadline = time.monotonic() + seconds
        self._cleaners: list[tuple[str, Callable[[], object]]] = []
        self._flows: set[str] = set()
        self._closed = False
        self._lock = threading.Lock()

    # --- judging ---------------------------------------------------------------------------------------

    @property
    def left(self) -> float:
        """Seconds that are left for the check."""
        return self._deadline - time.monotonic()

    def fail(self, message: str) -> NoReturn:
        raise CanaryFailed(message)

    def expect(self, holds: object, message: str) -> None:
        """Fail with this message unless it holds."""
        if not holds:
            raise CanaryFailed(message)

    def skip(self, reason: str) -> NoReturn:
        """End here: this server cannot do it at all."""
        raise CanarySkipped(reason)

    def needs(self, operations: Iterable[str]) -> None:
        """Skip unless the server has all of these operations."""
        if missing := OFFERS.missing(operations):
            self.skip(f"the server has no {', '.join(missing)}")

    def equal(self, found: object, wanted: object, what: str) -> None:
        if found != wanted:
            raise CanaryFailed(f"{what}: {found!r} instead of {wanted!r}")

    def wait(
        self, what: str, look: Callable[[], T], until: Callable[[T], object] = bool, within: float | None = None
    ) -> T:
        """What `look` returns, once it is as wanted. Fails, saying what was seen last, after `within` seconds or when
        the canary's time is over."""
        self.waits_for = what
        began = time.monotonic()
        limit = began + min(self.left, self.left if within is None else within)
        pause = 0.1
        while True:
            found = look()
            if until(found):
                self.waits_for = ""
                return found
            if self._closed or time.monotonic() >= limit:
                self.fail(f"not within {time.monotonic() - began:.0f} s: {what}; last seen: {found!r:.300}")
            time.sleep(min(pause, max(0.0, limit - time.monotonic())))
            pause = min(pause * 1.5, 1.0)

    # --- playing ---------------------------------------------------------------------------------------

    def own(self, flow: Flow[..., Any], **options: Any) -> Flow[..., Any]:
        """The flow under this stage's name; the flow and all of its runs are removed in the end."""
        name = options.pop("name", self.name)
        with self._lock:
            known = name in self._flows
            self._flows.add(name)
        if not known:
            self.cleaner(f"flow {name}", lambda: self._delete_flow(name))
        return flow.with_options(name=name, **options)

    def play(self, flow: Flow[..., Any], *args: Any, **parameters: Any) -> Played:
        """Run a flow here and now, under this stage's name."""
        with tags(TAG):
            state: State[Any] = self.own(flow)(*args, **parameters, return_state=True)
        id = state.state_details.flow_run_id
        if id is None:
            self.fail(f"the run ended {state} without an id of the server")
        return Played(id, state)

    def run(self, id: UUID) -> FlowRunResponse:
        """A flow run as the server has it."""
        return self.client.read_flow_run(id)

    def deploy(self, function: str, **fields: Any) -> UUID:
        """A deployment of a flow of `sempre.canary.deployed`, which no worker and nobody else executes."""
        name = f"{self.name}-{function}"
        with self._lock:
            known = name in self._flows
            self._flows.add(name)
        flow_id = self.client.create_flow_from_name(name, tags=[TAG])
        if not known:
            self.cleaner(f"flow {name}", lambda: self._delete_flow(name))
        return self.client.create_deployment(
            flow_id, name, entrypoint=f"sempre.canary.deployed:{function}", tags=[TAG], **fields
        )

    def folder(self) -> Path:
        """A directory that is removed in the end."""
        made = tempfile.mkdtemp(prefix=f"{self.name}-")
        self.cleaner(f"directory {made}", lambda: shutil.rmtree(made))
        return Path(made)

    def side_by_side(self, calls: Iterable[Callable[[], object]]) -> None:
        """Call all of them, each in a thread of its own; the first error is raised once all have ended."""
        errors: list[Exception] = []

        def guarded(call: Callable[[], object]) -> None:
            try:
                call()
            except Exception as error:  # raised again below, in the thread that waits
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=(call,), daemon=True) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, self.left))
        if errors:
            raise errors[0]
        self.expect(not any(thread.is_alive() for thread in threads), "what runs side by side does not end")

    # --- clearing up -----------------------------------------------------------------------------------

    def cleaner(self, what: str, remove: Callable[[], object]) -> None:
        """Have something removed in the end; at once, if this is the end already."""
        with self._lock:
            if not self._closed:
                self._cleaners.append((what, remove))
                return
        self._remove(what, remove)

    def close(self) -> None:
        """Remove what was made, the latest first; what cannot be removed is told in `left_behind`."""
        with self._lock:
            self._closed = True
            cleaners, self._cleaners = self._cleaners[::-1], []
        for what, remove in cleaners:
            self._remove(what, remove)

    def _remove(self, what: str, remove: Callable[[], object]) -> None:
        try:
            remove()
        except ObjectNotFound:
            pass
        except Exception as error:  # one thing that stays must not keep the others
            self.left_behind.append(f"{what}: {error}")

    def _delete_flow(self, name: str) -> None:
        self.client.delete_flow(self.client.read_flow_by_name(name).id)
