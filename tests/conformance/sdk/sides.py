"""The two sides of a comparison: the stock SDK, and ours. Their scripts differ in the package they import from."""

from __future__ import annotations

import ast
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.prefect_env import ROOT, base_environment, interpreter
from tests.support.processes import ManagedProcess

EXAMPLES = Path(__file__).parent / "examples"
_IMPORT = re.compile(r"^(\s*)(from|import) sempre\b", re.MULTILINE)
# Both look at the server as often as the other one.
_SETTINGS = {"LOGGING_TO_API_BATCH_INTERVAL": "0.2", "TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "1"}


@dataclass
class Side:
    """One of the SDKs, its copy of the scripts, and a home of its own."""

    name: str
    package: str
    python: str
    folder: Path
    api_url: str

    @property
    def environment(self) -> dict[str, str]:
        own = {f"{product}_{name}": value for product in ("PREFECT", "SEMPRE") for name, value in _SETTINGS.items()}
        home = str(self.folder / "home")
        return {
            **base_environment(Path(home)),
            **own,
            "SEMPRE_HOME": home,
            "PREFECT_API_URL": self.api_url,
            "SEMPRE_API_URL": self.api_url,
            "PREFECT_LOGGING_LEVEL": "INFO",
            "PYTHONPATH": str(ROOT),
            "EXAMPLES_SIDE": self.name,
            "EXAMPLES_NOTED": str(self.folder / "noted"),
        }

    def play(self, *modules: str) -> ManagedProcess:
        """Start the examples of these modules, one after the other, in one process."""
        return self.start(
            "play-" + "-".join(modules[:1]),
            "-m",
            "tests.conformance.sdk.play",
            self.package,
            str(self.folder),
            *modules,
        )

    def start(self, name: str, *argv: str) -> ManagedProcess:
        return ManagedProcess.start(
            f"{self.name}-{name}", [self.python, *argv], log_dir=self.folder, env=self.environment, cwd=self.folder
        )


def sides(workdir: Path, api_url: str) -> list[Side]:
    """Both, the stock one first, with their scripts written."""
    made = [
        Side("stock", "prefect", str(interpreter()), workdir / "stock", api_url),
        Side("ours", "sempre", sys.executable, workdir / "ours", api_url),
    ]
    for side in made:
        side.folder.mkdir()
        for script in EXAMPLES.glob("*.py"):
            (side.folder / script.name).write_text(_IMPORT.sub(rf"\1\2 {side.package}", script.read_text()))
    return made


def examples(*modules: str) -> list[str]:
    """`MODULE.NAME` of each example, without importing them."""
    found = []
    for module in modules:
        for node in ast.parse((EXAMPLES / f"{module}.py").read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXAMPLES":
                found += [f"{module}.{name}" for name in ast.unparse(node.value).strip("[]").split(", ")]
    return found


def reports(output: str) -> dict[str, dict[str, Any]]:
    """What `play` printed, by example."""
    told = [json.loads(line[2:]) for line in output.splitlines() if line.startswith("@@")]
    return {report.pop("example"): report for report in told}
