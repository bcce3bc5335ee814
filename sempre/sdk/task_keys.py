"""Names for functions that are the same in every process."""

import hashlib
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

__all__ = ["task_key"]


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
