"""What a storm came to: a table to read and a JSON file to keep."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from tests.chaos.auditor import Report
from tests.chaos.ledger import Entries
from tests.chaos.plan import SHORT
from tests.chaos.probes import Probes
from tests.chaos.stage import Stage
from tests.chaos.storm import Storm

PROBES = ("writes", "schedules", "automations", "rounds")


class StormReport:
    """Filled as far as the storm came: a run that fails has one, too."""

    def __init__(self, stage: Stage, storm: Storm, probes: Probes, seed: int) -> None:
        self._stage = stage
        self._storm = storm
        self._probes = probes
        self._seed = seed
        self._began = time.time()
        self._audit: Report | None = None
        self._ledger: dict[str, int] = {}

    def audited(self, audit: Report, entries: Entries) -> None:
        self._audit = audit
        self._ledger = entries.figures()

    def clean(self) -> bool:
        return self._audit is not None and not self._audit.offences

    def recoveries(self) -> dict[str, dict[str, Any]]:
        """By kind of fault: strikes, and by probe p50 and max of the seconds until service was back."""
        by_kind: dict[str, list[dict[str, float]]] = defaultdict(list)
        for strike in self._storm.strikes:
            if strike.recovery:
                by_kind[strike.fault].append(strike.recovery)
        return {
            kind: {
                "strikes": len(found),
                **{
                    probe: {
                        "p50": round(statistics.median(one[probe] for one in found), 2),
                        "max": round(max(one[probe] for one in found), 2),
                    }
                    for probe in PROBES
                },
            }
            for kind, found in sorted(by_kind.items())
        }

    def document(self) -> dict[str, Any]:
        """Everything, for the file."""
        strikes = self._storm.strikes
        audit = self._audit
        return {
            "seed": self._seed,
            "form": "short" if SHORT else "full",
            "began": self._began,
            "seconds": round(time.time() - self._began),
            "balancer": self._stage.balancer.kind,
            "strikes": len(strikes),
            "hands": dict(Counter(len(strike.beside) + 1 for strike in strikes)),
            "recovery": self.recoveries(),
            "latest": {name: round(self._probes.latest(name, 0), 2) for name in self._probes.late},
            "revived": dict(Counter(self._storm.revived)),
            "failovers": self._stage.postgres.failovers,
            "refused writes": len(self._probes.refused),
            "ledger": self._ledger,
            "audit": None if audit is None else audit.figures,
            "offences": None if audit is None else {o.check: [o.count, o.evidence] for o in audit.offences},
            "log": [strike.line() for strike in strikes],
        }

    def text(self) -> str:
        found = self.document()
        head = f"{'fault':<32}{'strikes':>8}" + "".join(f"{probe + ' p50/max':>22}" for probe in PROBES)
        lines = [
            f"storm: seed {self._seed}, {found['seconds']} s, {found['strikes']} strikes, "
            f"{found['failovers']} failovers, balancer {found['balancer']}, "
            f"started again {found['revived']}, latest {found['latest']}",
            head + "   (seconds until service was back; 0: nobody noticed)",
        ]
        for kind, row in found["recovery"].items():
            cells = "".join(f"{row[probe]['p50']:>15g} /{row[probe]['max']:>5g}" for probe in PROBES)
            lines.append(f"{kind:<32}{row['strikes']:>8}{cells}")
        lines.append(f"ledger: {found['ledger']}")
        lines.append(str(self._audit) if self._audit else "not audited")
        return "\n".join(lines)

    def save(self, workdir: Path) -> Path:
        """SEMPRE_CHAOS_REPORT names the file; by default it is in the test's directory."""
        path = Path(os.environ.get("SEMPRE_CHAOS_REPORT") or workdir / "storm.json")
        path.write_text(json.dumps(self.document(), indent=1, default=str))
        return path
