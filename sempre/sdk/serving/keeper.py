"""The life of runs that were taken: from the claim to the report of their end.

At any point the process may die. What it has begun is noted in the claim's folder before it is done, so that the next
one goes on: with the infrastructure if there is some, else by handing the run back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sempre.client.client import Client
from sempre.client.errors import ClientError
from sempre.core.dispatching import Ending, Verdict
from sempre.core.states import StateType
from sempre.schemas.flow_runs import FlowRun
from sempre.sdk.engine.cancellations import CANCELLING, listen
from sempre.sdk.serving import proposals
from sempre.sdk.serving.claim_folder import Claim, ClaimFolder
from sempre.sdk.serving.player_folder import PlayerFolder

__all__ = ["Gone", "Host", "NothingStarted", "RunKeeper", "Taken", "Unstartable"]

CANCEL_GRACE_SECONDS = 30.0
_KILL_GRACE_SECONDS = 5.0
_ANEW_SECONDS = 5.0
_REFUSED_SECONDS = 5.0
_LOOK_SECONDS = 10.0

log = logging.getLogger("sempre.serving")


class NothingStarted(Exception):
    """Nothing was started, for a reason that has nothing to do with the run: it is handed back."""


class Unstartable(Exception):
    """Nothing was started, and nothing can be: the run crashes. The text says why."""


class Gone(Exception):
    """What the run belongs to was deleted: the run is cancelled. The text says what."""


@dataclass(eq=False)
class Taken:
    """A run that was taken."""

    run: FlowRun
    claim: Claim
    folder: ClaimFolder
    since: datetime | None = None
    begun: bool = False
    """There is infrastructure."""
    cancelled: bool = False
    left: bool = False
    """Its infrastructure goes on without us."""
    killing: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def id(self) -> UUID:
        return self.run.id


class Host(Protocol):
    """What a player does for a run that was taken."""

    async def prepare(self, taken: Taken) -> None:
        """Read what is needed to begin; has no effects. Raises Gone, Unstartable or ClientError."""

    async def begin(self, taken: Taken) -> None:
        """Start the infrastructure. Raises NothingStarted or Unstartable."""

    async def watch(self, taken: Taken) -> Ending:
        """Wait for the end of the infrastructure."""

    async def kill(self, taken: Taken, grace: float) -> None:
        """End the infrastructure, also that of a run which was adopted."""

    def ended(self, taken: Taken, ending: Ending, verdict: Verdict) -> None:
        """The end was reported."""

    async def recover(self, claim: Claim, notes: ClaimFolder) -> str | None:
        """How to find what a dead player started for a claim; None if nothing was, and nothing will be any more."""

    async def adopted(self, run: FlowRun, claim: Claim, notes: ClaimFolder, identifier: str) -> Taken:
        """A run whose infrastructure was started before."""


class RunKeeper:
    """Keeps the runs of one player. Its methods belong to the player's loop."""

    def __init__(
        self, client: Client, host: Host, folder: PlayerFolder, *, claimant_id: str | None, freed: Callable[[], None],
        cancels_unbegun: bool = False,
    ) -> None:  # fmt: skip
        """`cancels_unbegun`: what is cancelled and has not begun to run is ended at once."""
        self._client = client
        self._host = host
        self._folder = folder
        self._claimant_id = claimant_id
        self._freed = freed
        self._cancels_unbegun = cancels_unbegun
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._refused: dict[UUID, float] = {}
        self.taken: dict[UUID, Taken] = {}
        self.draining = False

    # --- taking ----------------------------------------------------------------------------------------

    def take(self, run: FlowRun) -> None:
        """Claim a run and look after it to its end."""
        if run.id in self._tasks:
            return
        claim = Claim.of(run.id, self._claimant_id)
        self._begin(Taken(run, claim, self._folder.new(claim)), self._play)

    def refused(self) -> set[UUID]:
        """The runs that were not to be had a moment ago. A limit of nothing leaves them due, and those behind them are
        not to wait for that."""
        now = self._loop.time()
        self._refused = {id: until for id, until in self._refused.items() if until > now}
        return set(self._refused)

    def adopt(self, taken: Taken) -> None:
        """Go on with a run whose infrastructure is there."""
        taken.begun = True
        self._begin(taken, self._watch)

    def _begin(self, taken: Taken, life: Callable[[Taken], Awaitable[None]]) -> None:
        self.taken[taken.id] = taken
        task = self._loop.create_task(self._live(taken, life))
        self._tasks[taken.id] = task

    async def _live(self, taken: Taken, life: Callable[[Taken], Awaitable[None]]) -> None:
        deaf = listen(taken.id, lambda event, occurred: self._hear(taken, event, occurred))
        try:
            await life(taken)
        except Exception:
            # The notes stay: whoever comes next goes on from there, and the server takes back what is forgotten.
            log.exception("Flow run %s (%s) is not looked after any more", taken.run.name, taken.id)
        finally:
            deaf()
            self.taken.pop(taken.id, None)
            self._tasks.pop(taken.id, None)
            self._freed()

    async def _play(self, taken: Taken) -> None:
        # What reading says does not matter if the claim is lost, and takes as long.
        preparing = self._loop.create_task(self._host.prepare(taken))
        try:
            state = await proposals.claim_run(self._client, taken.id, taken.claim)
            if state is None:
                self._refused[taken.id] = self._loop.time() + _REFUSED_SECONDS
                taken.folder.remove()
                return
            taken.since = state.timestamp
            log.info("Took flow run %s (%s)", taken.run.name, taken.id)
            if await self._start(taken, preparing):
                await self._watch(taken)
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)

    async def _start(self, taken: Taken, preparing: asyncio.Task[None]) -> bool:
        """Whether there is infrastructure now. If not the run was taken care of."""
        try:
            await preparing
            if self.draining:
                raise NothingStarted("The worker was stopped before it began.")
            if not await proposals.submit(self._client, taken.id, taken.claim):
                await self._stopped_before_start(taken)
                return False
            await self._host.begin(taken)
        except Gone as error:
            await proposals.cancel(self._client, taken.id, str(error), force=True)
        except Unstartable as error:
            log.error("Flow run %s (%s) could not be started: %s", taken.run.name, taken.id, error)
            message = f"Failed to submit flow run to infrastructure: {error}"
            await proposals.crash(self._client, taken.id, message)
        except (NothingStarted, ClientError) as error:
            log.info("Flow run %s (%s) is handed back: %s", taken.run.name, taken.id, error)
            # Not at once to ourselves: whatever the reason was may be there still.
            delay = 0.0 if self.draining else _ANEW_SECONDS
            await proposals.hand_back(self._client, taken.run, taken.claim, str(error)[:1000], delay=delay)
        else:
            taken.begun = True
            return True
        taken.folder.remove()
        return False

    async def _stopped_before_start(self, taken: Taken) -> None:
        await proposals.settle(self._client, taken.id, taken.claim, Ending(0))
        taken.folder.remove()

    # --- watching --------------------------------------------------------------------------------------

    async def _watch(self, taken: Taken) -> None:
        if taken.cancelled:
            self._end_cancelled(taken)
        ending = await self._host.watch(taken)
        for killing in taken.killing:
            killing.cancel()
        if ending.exit_code != 0:
            log.warning("The infrastructure of flow run %s ended with %s", taken.run.name, ending.exit_code)
        verdict = await proposals.settle(self._client, taken.id, taken.claim, ending)
        self._host.ended(taken, ending, verdict)
        taken.folder.remove()

    # --- cancelling ------------------------------------------------------------------------------------

    def _hear(self, taken: Taken, event: str, occurred: datetime) -> None:
        """From the client's thread."""
        if event == CANCELLING and (taken.since is None or occurred > taken.since):
            self._loop.call_soon_threadsafe(self.cancelled, taken)

    def cancelled(self, taken: Taken) -> None:
        """Somebody cancelled the run: it has a while to end by itself, then its infrastructure is ended."""
        if taken.cancelled:
            return
        taken.cancelled = True
        if taken.begun:
            self._end_cancelled(taken)

    def _end_cancelled(self, taken: Taken) -> None:
        taken.killing.append(self._loop.create_task(self._end_in_time(taken)))

    async def _end_in_time(self, taken: Taken) -> None:
        if self._cancels_unbegun and await self._is_unbegun(taken):
            log.info("Flow run %s was cancelled before it began: its infrastructure is ended", taken.run.name)
            await self._host.kill(taken, CANCEL_GRACE_SECONDS)
            return
        await asyncio.sleep(CANCEL_GRACE_SECONDS)
        log.warning("Flow run %s was cancelled and did not end: its infrastructure is killed", taken.run.name)
        await self._host.kill(taken, _KILL_GRACE_SECONDS)

    async def _is_unbegun(self, taken: Taken) -> bool:
        """Whether nothing of the run was executed yet, so that nobody is there to end it."""
        with contextlib.suppress(ClientError, TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                return (await self._client.read_flow_run(taken.id)).start_time is None
        return False

    async def look_for_cancelled(self) -> None:
        """Ask which of the runs were cancelled, in case that nobody told."""
        ids = [str(id) for id in self.taken]
        if not ids:
            return
        criteria = {"id": {"any_": ids}, "state": {"type": {"any_": ["CANCELLING"]}}}
        with contextlib.suppress(ClientError):
            for run in await self._client.read_flow_runs(flow_run_filter=criteria):
                taken = self.taken.get(run.id)
                if taken is not None and run.state_type is StateType.CANCELLING:
                    self.cancelled(taken)

    # --- the end ---------------------------------------------------------------------------------------

    async def idle(self) -> None:
        """Wait until nothing is looked after any more."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def drain(self) -> None:
        """From now on what has not begun is handed back."""
        self.draining = True

    def kill_all(self) -> None:
        """End all infrastructure now; its end is reported as any other."""
        for taken in self.taken.values():
            if taken.begun:
                taken.killing.append(self._loop.create_task(self._host.kill(taken, 0)))

    async def leave_all(self) -> None:
        """Stop looking after anything. Infrastructure goes on, and the notes of it stay."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
