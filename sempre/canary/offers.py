"""What a server can do at all, by its own description."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from sempre.client import ClientError, get_client

__all__ = ["OFFERS", "Offers", "operations"]

_PATIENCE_SECONDS = 10.0
_PREFIX = re.compile(r"^/api(?=/)")


def operations(document: Any) -> frozenset[str]:
    """`METHOD /path` of every operation in an OpenAPI document, parameters of paths as `{}`."""
    paths = document.get("paths") if isinstance(document, dict) else None
    return frozenset(
        _plain(f"{method.upper()} {_PREFIX.sub('', path)}")
        for path, methods in (paths or {}).items()
        for method in methods
    )


def _plain(operation: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", operation)


def _described() -> Any:
    return get_client(sync_client=True, patience=_PATIENCE_SECONDS).request("GET", "/openapi.json")


class Offers:
    """Asks the server for its description once, when the first canary wants to know."""

    def __init__(self, describe: Callable[[], Any]) -> None:
        self._describe = describe
        self._lock = threading.Lock()
        self._known: frozenset[str] | None = None

    def missing(self, needed: Iterable[str]) -> list[str]:
        """Which of them the server has not got. None of them where it does not describe itself."""
        wanted = list(needed)
        if not wanted:
            return []
        with self._lock:
            if self._known is None:
                self._known = self._ask()
        return [each for each in wanted if self._known and _plain(each) not in self._known]

    def _ask(self) -> frozenset[str]:
        try:
            return operations(self._describe())
        except (ClientError, ValueError):  # the canary itself will see what is wrong
            return frozenset()


OFFERS = Offers(_described)  # of the API that this process uses
