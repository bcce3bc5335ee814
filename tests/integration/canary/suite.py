"""`sempre canary ...` as somebody types it, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.prefect_env import ROOT
from tests.support.servers import SEMPRE

TIME = 180.0  # that those may take that are quick, a slow machine included
SLOW = 120.0  # and that all of them may take


@dataclass
class Suite:
    """Runs the command against one API."""

    api_url: str
    home: Path

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
        own = {"PYTHONPATH": str(ROOT), "SEMPRE_HOME": str(self.home), "SEMPRE_API_URL": self.api_url, **env}
        argv = [*SEMPRE, "canary", *args]
        return subprocess.Popen(
            argv, env={**kept, **own}, cwd=self.home.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def report(self, process: subprocess.Popen[str], code: int) -> dict[str, Any]:
        """What `run -o json` printed; AssertionError on another exit code."""
        output, errors = process.communicate(timeout=SLOW + 30)
        assert process.returncode == code, f"ended with {process.returncode}\n{output}\n{errors}"
        found: dict[str, Any] = json.loads(output)
        return found

    def run(self, *args: str, code: int = 0) -> dict[str, Any]:
        return self.report(self.start("run", *args, "-o", "json"), code)

    def post(self, path: str, body: Any) -> Any:
        answer = httpx.post(f"{self.api_url}{path}", json=body, timeout=20)
        answer.raise_for_status()
        return answer.json()

    def left_behind(self) -> list[str]:
        """The names of all objects of canaries on the server."""
        kinds = (
            "flows",
            "deployments",
            "automations",
            "v2/concurrency_limits",
            "concurrency_limits",
            "block_documents",
        )
        found = [each for kind in kinds for each in self.post(f"/{kind}/filter", {})]
        names = [str(each.get("name") or each.get("tag")) for each in found]
        return [name for name in names if name.startswith("canary")]


def all_pass(report: dict[str, Any]) -> None:
    """AssertionError unless every canary passed and cleared up."""
    assert {each["name"]: each["message"] for each in report["canaries"] if each["result"] != "passed"} == {}
    assert {each["name"]: each["left_behind"] for each in report["canaries"] if each["left_behind"]} == {}
