"""The load's process as the tests see it: start, ask for nothing new, wait until everything has settled, end."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from tests.chaos.ledger import Entries
from tests.chaos.loads.shape import Shape
from tests.support.prefect_env import ROOT
from tests.support.processes import ManagedProcess
from tests.support.wait import eventually

FLOWS = Path(__file__).parents[1] / "flows"


class StormLoad:
    """`directory` gets the ledgers. `timeout`: seconds of a request (the protocol's client: 60)."""

    def __init__(self, url: str, directory: Path, shape: Shape, seed: object, *, timeout: float = 60.0) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.stock_ledger = directory / "stock.jsonl"
        steps = [{"prefect.deployments.steps.set_working_directory": {"directory": str(FLOWS)}}]
        self._options = {
            "url": url, "directory": str(directory), "shape": asdict(shape), "seed": str(seed), "timeout": timeout,
            "stock": {
                "pull_steps": steps, "entrypoint": "stock.py:stock", "path": ".",
                "job_variables": {"env": {"CHAOS_LEDGER": str(self.stock_ledger)}},
            },
        }  # fmt: skip
        self._process: ManagedProcess | None = None

    @property
    def process(self) -> ManagedProcess:
        assert self._process is not None, "the load was not started"
        return self._process

    def start(self, timeout: float = 90.0) -> StormLoad:
        """Everything the load needs is there and every part of it has begun when this returns."""
        argv = [sys.executable, "-m", "tests.chaos.loads", json.dumps(self._options)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = ManagedProcess.start("storm-load", argv, log_dir=self.directory, env=env, cwd=ROOT)
        self._process.wait_for(lambda: self._phase("running"), "the load runs", timeout)
        self._process.wait_for(self._at_work, "something has been done", timeout)
        return self

    def _at_work(self) -> bool:
        figures = self.entries().figures()
        return any(kind in figures for kind in ("end", "stream", "given", "taken"))

    def alive(self) -> bool:
        """Raises AssertionError with its output if it ended by itself."""
        assert self.process.running(), self.process.tail(80)
        return True

    def settle(self) -> None:
        """Ask for nothing new from now on."""
        self.alive()
        self.process.signal(signal.SIGUSR1)
        eventually(lambda: self._phase("settling"), "the load settles", 20)

    def finish(self, timeout: float = 180.0) -> None:
        """Workers take nothing new, end what they have, and everything closes."""
        self.alive()
        self.process.signal(signal.SIGTERM)
        assert self.process.wait(timeout) == 0, self.process.tail(80)

    def kill(self) -> None:
        if self._process is not None and self._process.running():
            self._process.kill()

    def entries(self, *, calls: bool = False) -> Entries:
        names = ["load.jsonl", "stock.jsonl", *(["calls.jsonl"] if calls else [])]
        return Entries.of(*(self.directory / name for name in names))

    def _phase(self, name: str) -> bool:
        return any(line["name"] == name for line in self.entries().of_kind("phase"))
