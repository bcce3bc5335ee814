"""After a restart: what became of the runs that a worker of this name had taken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from sempre.client.client import Client
from sempre.core.dispatching import Adoption, adoption
from sempre.sdk.serving import proposals
from sempre.sdk.serving.claim_folder import Claim, ClaimFolder
from sempre.sdk.serving.keeper import RunKeeper, Taken
from sempre.sdk.serving.player_folder import PlayerFolder
from sempre.workers.base import Found, Infrastructure
from sempre.workers.hosting import WorkerHost

__all__ = ["adopt_all"]

_AGAIN_SECONDS = 5.0
log = logging.getLogger("sempre.worker")


async def adopt_all(
    infrastructure: Infrastructure,
    folder: PlayerFolder,
    keeper: RunKeeper,
    host: WorkerHost,
    client_of: Callable[[str], Client],
) -> None:
    """Watch what there is, and hand back what was claimed and not started. `client_of` speaks for a dead worker, whose
    claims are its own to give back."""
    there = {found.flow_run_id: found for found in await _found(infrastructure)}
    for claim, notes in folder.inherited():
        client = client_of(claim.claimant_id or "")
        await _adopt(infrastructure, keeper, host, client, claim, notes, there)
    for found in there.values():  # notes were lost with the machine
        claim = Claim.of(found.flow_run_id)
        await _watch(keeper, host, claim, folder.new(claim), found.identifier)


async def _found(infrastructure: Infrastructure) -> list[Found]:
    """What the infrastructure knows of. It must have answered before anything is handed back."""
    while True:
        try:
            return await infrastructure.find()
        except Exception:
            log.exception("What this worker started before cannot be looked up; trying again")
            await asyncio.sleep(_AGAIN_SECONDS)


async def _adopt(
    infrastructure: Infrastructure,
    keeper: RunKeeper,
    host: WorkerHost,
    client: Client,
    claim: Claim,
    notes: ClaimFolder,
    there: dict[UUID, Found],
) -> None:
    run_id = UUID(claim.flow_run_id)
    found = there.pop(run_id, None)
    identifier = await infrastructure.recover(run_id, notes.path, claim.identifier)
    if found is not None:
        identifier = found.identifier
    run = await proposals.read_run(client, run_id)
    state = None if run is None else run.state
    what = adoption(
        started=identifier is not None,
        state=None if state is None else state.type,
        is_its_claim=proposals.is_claimed_by(state, claim),
    )
    if run is None or what is Adoption.FORGET:
        notes.remove()
    elif what is Adoption.HAND_BACK:
        log.info("Flow run %s (%s) was claimed before a restart and not started; it is handed back", run.name, run.id)
        await proposals.hand_back(client, run, claim, "The worker that had claimed it died before it was started.")
        notes.remove()
    else:
        assert identifier is not None
        await _watch(keeper, host, claim, notes, identifier)


async def _watch(keeper: RunKeeper, host: WorkerHost, claim: Claim, notes: ClaimFolder, identifier: str) -> None:
    taken = await host.adopted(claim, notes, identifier)
    if taken is None:
        notes.remove()
        return
    log.info("Flow run %s (%s) goes on in %s since before a restart", taken.run.name, taken.id, identifier)
    keeper.adopt(taken)
