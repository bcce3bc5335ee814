"""The house rules that no linter knows: files one can hold in the head, and imports that point one way only."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

BUDGET = 500  # lines of a source or test file

# Longer files, each with its present length. This list may only shrink.
LONGER: dict[str, int] = {}

# Package -> what it may import of the others.
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "settings": set(),
    "schemas": {"core"},
    "db": {"settings"},
    "client": {"schemas", "core", "settings"},
    "sdk": {"client", "schemas", "core", "settings"},
    "workers": {"sdk", "client", "schemas", "core", "settings"},
    "canary": {"sdk", "client", "schemas", "core", "settings"},
    "server": {"db", "schemas", "core", "settings"},
    "cli": {"canary", "client", "sdk", "workers", "schemas", "core", "settings", "server", "db"},
}
# `sempre.core` decides from values to values.
IMPURE = {"asyncio", "asyncpg", "fastapi", "httpx", "redis", "socket", "sqlalchemy", "starlette"}


def main() -> int:
    files = subprocess.run(["git", "ls-files", "*.py"], capture_output=True, text=True, check=True)
    problems = [p for name in files.stdout.split() if Path(name).exists() for p in check(Path(name))]
    print("\n".join(problems) if problems else "the house is in order")
    return bool(problems)


def check(path: Path) -> Iterator[str]:
    text = path.read_text()
    lines = text.count("\n")
    allowed = LONGER.get(str(path), BUDGET)
    if lines > allowed:
        yield f"{path}: {lines} lines, the budget is {allowed}: two rooms in one?"
    parts = path.parts
    if parts[0] == "sempre" and len(parts) > 2 and parts[1] in MAY_IMPORT:
        yield from _check_imports(path, parts[1], ast.parse(text))


def _check_imports(path: Path, package: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            if first == "sempre" and rest and rest[0] in MAY_IMPORT and rest[0] not in MAY_IMPORT[package] | {package}:
                yield f"{path}:{node.lineno}: {package} must not import {name}"
            if package == "core" and first in IMPURE:
                yield f"{path}:{node.lineno}: core must stay pure, but imports {name}"


if __name__ == "__main__":
    sys.exit(main())
