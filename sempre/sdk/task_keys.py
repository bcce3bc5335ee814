"""Names for functions that are the same in every process."""

import hashlib
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

__all__ = ["source_hash", "task_key"]


def task_key(fn: Callable[..., Any], name: str) -> str:
    """`<qualified name>-<eight hex digits>`.

    The digits come from the module's last name, or the file's for a script: so a task has one key whether its file is
    run or imported.
    """
    qualified = getattr(fn, "__qualname__", name)
    module = getattr(fn, "__module__", "") or ""
    if module == "__main__":
        code = getattr(fn, "__code__", None)
        module = PurePath(code.co_filename).stem if code is not None else module
    digest = hashlib.sha256(f"{module.rpartition('.')[2]}.{qualified}".encode()).hexdigest()
    return f"{qualified.replace('<locals>', 'locals')}-{digest[:8]}"


def source_hash(fn: Callable[..., Any]) -> str | None:
    """32 hex digits of the file that a function is in; None if there is none."""
    code = getattr(getattr(fn, "__func__", fn), "__code__", None)
    if code is None:
        return None
    try:
        content = Path(code.co_filename).read_bytes()
    except OSError:
        return None
    return hashlib.sha256(content).hexdigest()[:32]
