"""How each defence of the server is switched off in a process under test: SQL that is rewritten on its way to Postgres,
rules that are dropped. Each says on stderr that it took effect, so that a bite cannot miss unnoticed (`MARK`).
"""

from __future__ import annotations

import asyncio
import functools
import re
import sys
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

MARK = "defence switched off:"


def switch_off(name: str) -> None:
    """Called before anything of the server is imported."""
    _DEFENCES[name](name)


@functools.cache
def _told(name: str) -> None:
    print(f"{MARK} {name}", file=sys.stderr, flush=True)


def _sql(*rewrites: tuple[str, str]) -> Callable[[str], None]:
    """Rewrite statements by regular expression."""
    patterns = [(re.compile(old), new) for old, new in rewrites]

    def off(name: str) -> None:
        from asyncpg.connection import Connection

        @functools.lru_cache(2000)
        def rewritten(query: str) -> str:
            for pattern, new in patterns:
                query, count = pattern.subn(new, query)
                if count:
                    _told(name)
            return query

        def wrap(method: Any) -> Any:
            @functools.wraps(method)
            def call(self: Any, query: str, *args: Any, **options: Any) -> Any:
                return method(self, rewritten(query), *args, **options)

            return call

        for method in ("_execute", "_prepare", "execute"):
            setattr(Connection, method, wrap(getattr(Connection, method)))

    return off


def _without_rule(rule: str) -> Callable[[str], None]:
    """Drop a rule of transitions from every policy."""

    def off(name: str) -> None:
        from sempre.core.transitions import flow_run, rules
        from sempre.core.transitions.model import Policy

        for policy, known in (
            (Policy.CORE, flow_run.CORE_RULES),
            (Policy.FORCED, flow_run.FORCED_RULES),
            (Policy.SILENT, flow_run.SILENT_RULES),
        ):
            left = [one for one in known if one.name != rule]
            if len(left) < len(known):
                flow_run._TABLES[policy] = rules.compile_policy(left)
                _told(name)

    return off


def _no_schedule_keys(name: str) -> None:
    """Every planned run has a key of its own, as far as the database can tell."""
    from sempre.core.schedules import idempotency_key
    from sempre.server.deployments import scheduling

    def key(deployment: object, schedule: object, date: datetime) -> str:
        _told(name)
        return f"{idempotency_key(str(deployment), str(schedule), date)} {uuid.uuid4()}"

    setattr(scheduling, "idempotency_key", key)  # noqa: B010


def _early_confirmation(name: str) -> None:
    """Events are confirmed when they are received, and written a second later."""
    from sempre.server.events import writer

    original = writer.EventWriter._submit

    def submit(self: Any, unit: Any) -> None:
        _told(name)
        unit.finish()
        loop = asyncio.get_running_loop()
        loop.call_later(1.0, original, self, unit)

    writer.EventWriter._submit = submit  # type: ignore[method-assign]


def _unclaimed_actions(name: str) -> None:
    """Whoever looks for actions gets those that others are at, too, and a run made twice has two keys."""
    from sempre.server.actions import deployments

    original = getattr(deployments, "create_run")  # noqa: B009

    async def create_run(scope: Any, deployment_id: Any, body: Any) -> Any:
        _told(name)
        key = f"{uuid.uuid4()} {body.idempotency_key}"
        return await original(scope, deployment_id, body.model_copy(update={"idempotency_key": key}))

    setattr(deployments, "create_run", create_run)  # noqa: B010
    _sql((r"due = clock_timestamp\(\) \+ make_interval\(secs => \$4\)", "due = clock_timestamp()"))(name)


def _deaf(name: str) -> None:
    """Nobody rings, and nobody looks by himself."""
    from sempre.server.feed import doorbell

    def ring(self: Any, *topics: str) -> None:
        _told(name)

    doorbell.Doorbell.ring = ring  # type: ignore[method-assign]


def _setting(name: str) -> None:
    """Off by its own setting (bites.py)."""
    _told(name)


_DEFENCES: dict[str, Callable[[str], None]] = {
    "nothing": _setting,
    "the fence of log consumers": _sql(
        (r"(UPDATE event_consumer SET\s+position[^;]*?)AND fence = \$5", r"\1AND $5::bigint IS NOT NULL")
    ),
    "compare-and-set of transitions": _sql((r"AND version = (\$\d+)::bigint", r"AND \1::bigint IS NOT NULL")),
    "the unique key of schedule slots": _no_schedule_keys,
    "claims of background tasks": _sql(
        (
            r"SET claimed_by = \$3, claimed_until = clock_timestamp\(\) \+ make_interval\(secs => [\d.]+\)",
            "SET claimed_by = $3, claimed_until = clock_timestamp()",
        )
    ),
    "claims and keys of actions": _unclaimed_actions,
    "doorbell and polling": _deaf,
    "renewal of leases": _sql(
        (
            r"ELSE clock_timestamp\(\) \+ make_interval\(secs => (\$\d+)::float8\) END(\s+WHERE e\.id)",
            r"WHEN \1::float8 > 0 THEN e.expires_at END\2",
        )
    ),
    "taking back claims": _setting,
    "crashing silent runs": _setting,
    "collecting expired leases": _setting,
    "events in the transaction of the change": _sql((r"(?s)(event_of_run AS \(.*?FROM run)\n\)", r"\1 WHERE false\n)")),
    "fencing off who lost its claim": _without_rule("taken back"),
    "recognising a repeated proposal": _without_rule("prevent duplicates"),
    "confirmation after durability": _early_confirmation,
}
