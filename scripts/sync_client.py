"""Makes sempre/client/sync_calls, for those who wait, from sempre/client/calls: ``python scripts/sync_client.py``.

``--check`` writes nothing and fails when a file is not what its original says (part of ``make lint``).
"""

import re
import subprocess
import sys
from pathlib import Path

CALLS = Path(__file__).parents[1] / "sempre" / "client" / "calls"
SYNC = CALLS.with_name("sync_calls")

_HEAD = "# Made from sempre/client/calls/{name} by scripts/sync_client.py: change that file.\n"
_RULES = (
    (re.compile(r"\basync def "), "def "),
    (re.compile(r"\bawait "), ""),
    (re.compile(r"\bsempre\.client\.calls\b"), "sempre.client.sync_calls"),
    (re.compile(r"\bself\._connection\.request\("), "self._connection.request_now("),
    (re.compile(r"\b([A-Z][A-Za-z]*)?Calls\b"), r"Sync\1Calls"),
)


def made(original: Path) -> str:
    """The text of the file for those who wait."""
    text = original.read_text()
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return _tidied(_HEAD.format(name=original.name) + text, SYNC / original.name)


def _tidied(text: str, path: Path) -> str:
    """Lines are shorter without their awaits, and imports have another order."""
    for arguments in (("check", "--select", "I", "--fix-only", "--quiet"), ("format", "--quiet")):
        command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(path), "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return text


def main() -> int:
    wanted = {SYNC / original.name: made(original) for original in sorted(CALLS.glob("*.py"))}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    surplus = [path for path in SYNC.glob("*.py") if path not in wanted]
    if "--check" in sys.argv[1:]:
        for path in (*stale, *surplus):
            print(
                f"{path.name} in sempre/client/sync_calls is not what its original says: python scripts/sync_client.py"
            )
        return bool(stale or surplus)
    SYNC.mkdir(exist_ok=True)
    for path in surplus:
        path.unlink()
    for path in stale:
        path.write_text(wanted[path])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
