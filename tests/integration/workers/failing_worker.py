"""`failing_worker.py POOL NAME MOMENT`: a process worker that is killed at a moment of its first run.

claimed: the run is PENDING, and the worker has not heard so. starting: right before the process is started. started:
the process runs, and nobody has noted so. With the moment `impatient` it lives, and gives cancelled runs half a second.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from sempre.sdk.loggers import setup
from sempre.sdk.serving import keeper, proposals
from sempre.workers.configuration import JobConfiguration
from sempre.workers.process import ProcessInfrastructure
from sempre.workers.worker import Worker

POOL, NAME, MOMENT = sys.argv[1:4]


def die_at(moment: str) -> None:
    if moment == MOMENT:
        os.kill(os.getpid(), signal.SIGKILL)


class Failing(ProcessInfrastructure):
    async def start(self, job: JobConfiguration) -> str:
        die_at("starting")
        identifier = await super().start(job)
        die_at("started")
        return identifier


async def claim_and_die(*args: Any) -> Any:
    found = await claim(*args)
    die_at("claimed")
    return found


claim = proposals.claim_run
proposals.claim_run = claim_and_die  # type: ignore[assignment]
if MOMENT == "impatient":
    keeper.CANCEL_GRACE_SECONDS = 0.5

setup()
asyncio.run(Worker(Failing, POOL, name=NAME).run())
