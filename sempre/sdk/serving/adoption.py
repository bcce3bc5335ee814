"""After a restart: what became of the runs that a player of this name had taken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from sempre.client.client import Client
from sempre.core.dispatching import Adoption, adoption
from sempre.sdk.serving import proposals
from sempre.sdk.serving.claim_folder import Claim, ClaimFolder
from sempre.sdk.serving.keeper import Host, RunKeeper
from sempre.sdk.serving.player_folder import PlayerFolder

__all__ = ["adopt_all"]

ClientOf = Callable[[str | None], Client]
log = logging.getLogger("sempre.serving")


async def adopt_all(
    host: Host, folder: PlayerFolder, keeper: RunKeeper, client_of: ClientOf, there: dict[UUID, str]
) -> None:
    """Watch what there is, and hand back what was claimed and not started.

    `there` is infrastructure that was found by asking, by its run. `client_of` speaks for a dead claimant by his id:
    his claims are his to give back.
    """
    rest = dict(there)
    for claim, notes in folder.inherited():
        found = rest.pop(UUID(claim.flow_run_id), None)
        recovered = await host.recover(claim, notes)
        await _adopt(host, keeper, client_of(claim.claimant_id), claim, notes, found or recovered)
    for run_id, identifier in rest.items():  # its notes were lost with the machine
        claim = Claim.of(run_id)
        await _adopt(host, keeper, client_of(None), claim, folder.new(claim), identifier)


async def _adopt(
    host: Host, keeper: RunKeeper, client: Client, claim: Claim, notes: ClaimFolder, identifier: str | None
) -> None:
    run = await proposals.read_run(client, UUID(claim.flow_run_id))
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
        await proposals.hand_back(client, run, claim, "Who had claimed it died before it was started.")
        notes.remove()
    elif identifier is not None:
        log.info("Flow run %s (%s) goes on in %s since before a restart", run.name, run.id, identifier)
        keeper.adopt(await host.adopted(run, claim, notes, identifier))
