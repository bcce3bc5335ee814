"""Runs examples with one of the SDKs and prints what came of each as a line of JSON.

`python -m tests.conformance.sdk.play PACKAGE FOLDER MODULE...`; the modules in FOLDER import from that package. Every
example runs under two tags: the side's name and `example:MODULE.NAME`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.conformance.sdk.tools import SIDE


def main() -> None:
    package, folder, *modules = sys.argv[1:]
    # What the SDKs say on the console is not compared; the examples make a lot of errors on purpose.
    with Path(folder, f"console-{modules[0]}.log").open("w") as console:
        os.dup2(console.fileno(), 2)
    sys.path.insert(0, folder)
    tags: Any = importlib.import_module(package).tags
    for module in modules:
        for example in importlib.import_module(module).EXAMPLES:
            name = f"{module}.{example.__name__}"
            with tags(SIDE, f"example:{name}"):
                report = _play(example)
            print("@@" + json.dumps({"example": name, **report}, default=_plain), flush=True)


def _play(example: Any) -> dict[str, Any]:
    try:
        return {"value": example()}
    except BaseException as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _plain(value: Any) -> str:
    return f"<{type(value).__name__}>"


if __name__ == "__main__":
    main()
