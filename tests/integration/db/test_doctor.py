"""`sempre server database doctor`: finds what interrupted work and accidents leave behind, and cures it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sempre.db import migrate
from sempre.db.expected import indexes_of
from tests.support.database import Database, Postgres
from tests.support.servers import SEMPRE, run_sempre, sempre_environment

Json = dict[str, Any]


@pytest.fixture
def fresh(postgres: Postgres, workdir: Path) -> Database:
    database = postgres.create()
    run_sempre("server", "database", "upgrade", "-y", home=workdir / "home", database=database)
    return database


def _doctor(database: Database, workdir: Path, *arguments: str, code: int) -> str:
    done = subprocess.run(
        [*SEMPRE, "server", "database", "doctor", *arguments],
        env=sempre_environment(workdir / "home", database, None),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def _findings(database: Database, workdir: Path, *arguments: str, code: int) -> dict[tuple[str, str], Json]:
    facts = json.loads(_doctor(database, workdir, *arguments, "-o", "json", code=code))
    assert facts["healthy"] is (code == 0)
    return {(finding["check"], finding["subject"]): finding for finding in facts["findings"]}


def test_it_knows_the_indexes_of_a_fresh_schema(fresh: Database) -> None:
    rows = fresh.fetch(
        """
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid)
        """
    )
    assert set(indexes_of(migrate.head())) == {row["relname"] for row in rows}


def test_what_is_broken_is_cured_without_a_line_of_sql(fresh: Database, workdir: Path) -> None:
    run = ("server", "database", "doctor", "--fix")
    run_sempre(*run, home=workdir / "home", database=fresh)  # makes the partitions that a server would make
    assert "Nothing is wrong." in _doctor(fresh, workdir, code=0)
    for statement in (
        "DROP INDEX flow_run_by_start",
        "DROP INDEX flow_run_idempotency",
        "DROP INDEX log_order",  # of all partitions
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'task_run_by_flow'::regclass",
        "CREATE INDEX task_run_by_end_ccnew ON task_run (end_time)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'task_run_by_end_ccnew'::regclass",
        "CREATE INDEX somebody_elses ON flow (name)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'somebody_elses'::regclass",
        "INSERT INTO event_dead_letter (consumer, workspace_id, event_id, event, error) "
        "SELECT 'recorder', id, gen_random_uuid(), '{}', 'x' FROM workspace",
    ):
        fresh.fetch(statement)
    table = _doctor(fresh, workdir, code=1)
    assert "flow_run_by_start" in table
    assert "doctor --fix" in table
    broken = {
        ("index", name)
        for name in (
            "flow_run_by_start", "flow_run_idempotency", "log_order", "task_run_by_flow", "task_run_by_end_ccnew",
        )
    }  # fmt: skip
    found = _findings(fresh, workdir, code=1)
    assert set(found) == {*broken, ("index", "somebody_elses"), ("dead letters", "recorder")}
    assert {key for key, finding in found.items() if finding["cure"]} == broken
    after = _findings(fresh, workdir, "--fix", code=1)
    assert {key for key, finding in after.items() if finding["fixed"]} == broken
    fresh.fetch("DROP INDEX somebody_elses")
    assert set(_findings(fresh, workdir, code=0)) == {("dead letters", "recorder")}
    definition = fresh.fetch("SELECT pg_get_indexdef('flow_run_idempotency'::regclass) AS is")[0]["is"]
    assert definition.startswith("CREATE UNIQUE INDEX")


def test_a_schema_that_is_behind_is_brought_up_to_date(postgres: Postgres, workdir: Path) -> None:
    behind = postgres.create()
    found = _findings(behind, workdir, code=1)
    assert found["version", "schema"]["cure"] == "build the schema"
    run_sempre("server", "database", "upgrade", "-y", "-r", "0003", home=workdir / "home", database=behind)
    assert _findings(behind, workdir, code=1)["version", "schema"]["cure"] == "upgrade"
    after = _findings(behind, workdir, "--fix", code=0)
    assert after["version", "schema"]["fixed"]
    assert _findings(behind, workdir, code=0) == {}
    empty = postgres.create()
    assert _findings(empty, workdir, "--fix", code=0)["version", "schema"]["fixed"]
