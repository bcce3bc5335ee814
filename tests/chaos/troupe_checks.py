"""What the ledger of a troupe (`flows/worked.py`, troupe.py) must say of every run, whatever was killed. Each check
returns offences; lines are in the order in which they were written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from tests.chaos import queries, storm_queries
from tests.chaos.ledger import Entries, Entry
from tests.chaos.rounds import keys_of_round, undone

Row = dict[str, Any]

STATES = """
SELECT r.id::text AS run, r.state_type, r.state_name, d.name AS deployment, r.auto_scheduled,
       array(SELECT h.type FROM flow_run_state h WHERE h.flow_run_id = r.id ORDER BY h.timestamp) AS history
FROM flow_run r JOIN deployment d ON d.id = r.deployment_id WHERE r.parent_task_run_id IS NULL
"""
TASK_RUNS_LEFT = """
SELECT t.id::text, t.name, t.state_name, t.flow_run_run_count, r.run_count, r.state_name AS run FROM task_run t
    JOIN flow_run r ON r.id = t.flow_run_id
WHERE t.state_type IN ('PENDING', 'RUNNING', 'SCHEDULED')
    AND r.state_type IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')
    -- The last words of a process that is killed right after the end of a subflow may still be in its memory.
    AND NOT (r.parent_task_run_id IS NOT NULL AND r.state_type = 'COMPLETED' AND t.flow_run_run_count = r.run_count)
"""
ALWAYS = {
    **queries.ALWAYS,
    # Runs are run again; a subflow whose process was killed goes on in the next one of its parent.
    "illegal transition": f"""
        SELECT offence.* FROM ({storm_queries.ALWAYS["illegal transition"]}) offence
            JOIN flow_run r ON r.id = offence.flow_run_id
        WHERE NOT (offence.before = 'RUNNING' AND offence.type = 'RUNNING' AND r.parent_task_run_id IS NOT NULL)
    """,
    # The server ends what a killed process left.
    "task-run state of no event": f"""
        SELECT offence.* FROM ({queries.ALWAYS["task-run state of no event"]}) offence WHERE name <> 'Crashed'
    """,
    # The log goes on as long as there are schedules.
    "consumer behind": storm_queries.CONSUMERS_FAR_BEHIND,
    "subflow in another state than its own": """
        SELECT id::text, state_name FROM flow_run
        WHERE parent_task_run_id IS NOT NULL AND state_type NOT IN ('COMPLETED', 'CRASHED')
    """,
    "task run of a run that is over left in flight": TASK_RUNS_LEFT,
    "log stored twice": """
        SELECT message, count(*) AS times FROM log WHERE message LIKE 'round %' GROUP BY message HAVING count(*) > 1
    """,
    "task run told out of order": """
        SELECT resource_id, array_agg(event ORDER BY seq) AS stored FROM event
        WHERE event LIKE 'prefect.task-run.%' GROUP BY resource_id
        HAVING array_agg(id ORDER BY seq) <> array_agg(id ORDER BY occurred, seq)
    """,
}


def killed(entries: Entries) -> set[tuple[str, int]]:
    """Runs and the processes that were killed while they had them."""
    return {(line["run"], line["pid"]) for line in entries.of_kind("killed")}


def acknowledged(entries: Entries) -> list[Entry]:
    """What must be stored: all that was told by processes that were not killed, in the auditor's words."""
    dead = killed(entries)
    lines = [line for line in entries.lines if (line.get("run"), line.get("pid")) not in dead]
    tasks = [{"kind": "task", "id": line["id"]} for line in lines if line["kind"] == "body" and not line.get("staged")]
    logs = [line for line in lines if line["kind"] == "log"]
    ends = [{"kind": "finished", "id": line["run"], "type": line["ends"]} for line in entries.of_kind("asked")]
    return [*entries.of_kind("created"), *entries.of_kind("schedule"), *tasks, *logs, *ends]


def not_as_it_should_be(entries: Entries, runs: list[Row], due: set[str]) -> list[Row]:
    """Runs that were asked for, or whose slot had passed (`due`), in another state than theirs."""
    wanted = {line["run"]: line["ends"] for line in entries.of_kind("asked")} | dict.fromkeys(due, "COMPLETED")
    return [row for row in runs if row["run"] in wanted and row["state_type"] != wanted[row["run"]]]


def crashed_unharmed(entries: Entries, runs: list[Row]) -> list[Row]:
    """Runs that were called crashed more often than their processes were killed."""
    kills = Counter(run for run, _ in killed(entries))
    return [row for row in runs if row["history"].count("CRASHED") > kills[row["run"]]]


def two_at_once(entries: Entries) -> list[Entry]:
    """Processes that began a run while another one held it, as the kernel told them."""
    return entries.of_kind("overlap")


def taken_from_the_living(entries: Entries) -> list[Row]:
    """Runs that were begun by another process though none that had begun them was killed, or that the killed went on
    with."""
    dead = killed(entries)
    offences = []
    for run, lines in _by_run(entries.of_kind("begin")).items():
        pids = list(dict.fromkeys(line["pid"] for line in lines))
        offences += [{"run": run, "pid": pid, "pids": pids} for pid in pids[:-1] if (run, pid) not in dead]
    told = (line for line in entries.lines if {"run", "pid"} <= line.keys() and line["kind"] != "killed")
    for run, lines in _by_run(told).items():
        turns = Counter(pid for pid, _ in groupby(line["pid"] for line in lines))
        offences += [{"run": run, "pid": pid, "came back": times} for pid, times in turns.items() if times > 1]
    return offences


def begun_without_leave(entries: Entries, runs: list[Row]) -> list[Row]:
    """Attempts that no Running state allowed, or that were made twice."""
    histories = {row["run"]: row["history"] for row in runs}
    offences = []
    for run, lines in _by_run(entries.of_kind("begin")).items():
        attempts = Counter(line["attempt"] for line in lines)
        allowed = histories.get(run, []).count("RUNNING")
        if len(lines) > allowed or max(attempts.values()) > 1:
            offences.append({"run": run, "attempts": dict(attempts), "running": allowed})
    return offences


def executed_though_kept(entries: Entries) -> list[Entry]:
    """Bodies of tasks that began when their result was on disk."""
    return [line for line in entries.of_kind("body") if line["kept"]]


def executed_though_joined(entries: Entries) -> list[Entry]:
    """Bodies of tasks and subflows that began after the flow around them had their results."""
    joined: set[str] = set()
    offences = []
    for line in entries.lines:
        if line["kind"] == "joined":
            joined.update(line["keys"])
        elif line["kind"] in ("body", "part") and line["key"] in joined:
            offences.append(line)
    return offences


def repeated_unharmed(entries: Entries) -> list[Row]:
    """Bodies that began again though no process that had begun them was killed, and no transaction was undone."""
    dead = killed(entries)
    begun: dict[str, list[Entry]] = defaultdict(list)
    offences = []
    for line in entries.of_kind("body"):
        earlier = begun[line["key"]]
        excused = line.get("staged") and undone(line["number"])
        if earlier and not excused and any((before["run"], before["pid"]) not in dead for before in earlier):
            offences.append({**line, "before": [before["pid"] for before in earlier]})
        earlier.append(line)
    return offences


def wrong_rollbacks(entries: Entries) -> list[Row]:
    """Transactions whose hook was not called exactly once though they failed, or was though they did not."""
    dead = killed(entries)
    broken, called = (Counter(map(_attempt, entries.of_kind(kind))) for kind in ("broken", "undone"))
    offences: list[Row] = []
    for place in broken.keys() | called.keys():
        run, pid, _, number = place
        fits = called[place] == 1 or (called[place] == 0 and (run, pid) in dead)
        if broken[place] != 1 or not fits or not undone(number):
            offences.append({"transaction": place, "failed": broken[place], "hooks": called[place]})
    return offences


def incomplete(entries: Entries) -> list[Row]:
    """Completed runs that left rounds out."""
    ended = {line["run"] for line in entries.of_kind("end")}
    joined: dict[str, set[str]] = defaultdict(set)
    for line in entries.of_kind("joined"):
        joined[line["run"]].update(line["keys"])
    offences = []
    for line in entries.of_kind("asked"):
        if line["ends"] != "COMPLETED":
            continue
        wanted = set().union(*(keys_of_round(line["run"], number) for number in range(line["rounds"])))
        if line["run"] not in ended or joined[line["run"]] != wanted:
            offences.append({"run": line["run"], "missing": sorted(wanted - joined[line["run"]])})
    return offences


CHECKS: dict[str, Callable[[Entries], list[Any]]] = {
    "run in two processes at once": two_at_once,
    "run begun by another though its process lived": taken_from_the_living,
    "task executed though its result was kept": executed_though_kept,
    "task or subflow executed though its result was used": executed_though_joined,
    "task executed again though nobody was killed": repeated_unharmed,
    "transaction not undone exactly once": wrong_rollbacks,
    "completed run left something out": incomplete,
}


def _by_run(lines: Iterable[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for line in lines:
        found[line["run"]].append(line)
    return found


def _attempt(line: Entry) -> tuple[str, int, int, int]:
    return line["run"], line["pid"], line["attempt"], line["number"]
