"""A solo server on its embedded Postgres, killed and started again, and the programs that meanwhile use it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from sempre.db.embedded import start_embedded
from tests.support.database import Database
from tests.support.prefect_env import ROOT, PrefectClient
from tests.support.processes import ManagedProcess
from tests.support.servers import SempreServer
from tests.support.wait import eventually

FLOWS = Path(__file__).parent / "flows"


class Solo:
    """`downtimes`: seconds from each kill to the first answer afterwards."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.server = SempreServer(workdir)
        self.server.start()
        with start_embedded(workdir / "home") as share:
            self.database = Database("postgres", parse_qs(urlsplit(share.dsn).query)["host"][0])
        self.client = PrefectClient(self.server.api_url, workdir, FLOWS)
        self.downtimes: list[float] = []
        self._killed = 0.0

    def kill(self) -> None:
        self._killed = time.monotonic()
        self.server.kill()

    def start_again(self, after: float = 0.0) -> None:
        """Start not before `after` seconds have passed since the kill."""
        due = self._killed + after
        eventually(lambda: time.monotonic() >= due, "the server stays away", after + 5, 0.05)
        self.server.start()
        self.downtimes.append(round(time.monotonic() - self._killed, 1))

    def start_flow(self, ledger: Path, rounds: int) -> ManagedProcess:
        return self.client.start_script("burst.py", str(ledger), str(rounds))

    def start_witness(self, ledger: Path) -> ManagedProcess:
        argv: list[str | Path] = [sys.executable, "-m", "tests.chaos.witness", self.server.api_url, ledger]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return ManagedProcess.start(f"witness-{ledger.stem}", argv, log_dir=self.workdir, env=env)
