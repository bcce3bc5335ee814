"""How flow scripts tell the tests what they did: one JSON line per scenario."""

import json
import traceback
from collections.abc import Callable
from typing import Any


def scenario(name: str, body: Callable[[], dict[str, Any]]) -> None:
    """Run one scenario; its facts, or its unexpected error, become one line. Others still run after a failure."""
    try:
        facts = body()
    except BaseException as error:
        traceback.print_exc()
        facts = {"error": f"{type(error).__name__}: {error}"}
    say(name, facts)


def say(name: str, facts: dict[str, Any]) -> None:
    print("@@" + json.dumps({"scenario": name, **facts}, default=str), flush=True)
