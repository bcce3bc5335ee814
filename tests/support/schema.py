"""What a schema is made of, to compare two, and rows to upgrade."""

from __future__ import annotations

import asyncpg

from tests.support.database import Database

# Day partitions come and go; everything else has one name.
_PARTS = {
    "columns": """
        SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name !~ '_\\d{8}$'
    """,
    "indexes": """
        SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid AND i.indisready AND i.indislive
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ '_\\d{8}'
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text !~ '_\\d{8}$'
    """,
    "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "functions": """
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
    """,
    "options": """
        SELECT relname, reloptions FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname !~ '_\\d{8}$'
    """,
}

# As a version wrote them that had only the first schema.
_ROWS = """
INSERT INTO flow (id, workspace_id, name)
    SELECT md5('flow' || n)::uuid, w.id, 'flow-' || n FROM workspace w, generate_series(1, 20) n;
INSERT INTO flow_run (id, workspace_id, name, flow_id)
    SELECT md5('run' || n)::uuid, w.id, 'run-' || n, md5('flow' || 1 + n % 20)::uuid
    FROM workspace w, generate_series(1, {runs}) n;
INSERT INTO task_run (id, workspace_id, name, flow_run_id, task_key, dynamic_key)
    SELECT md5('task' || n)::uuid, w.id, 'task-' || n, md5('run' || 1 + n % {runs})::uuid, 'key', n::text
    FROM workspace w, generate_series(1, 3 * {runs}) n;
CREATE TABLE log_20260101 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
ANALYZE;
"""


async def schema_of(database: Database) -> dict[str, set[str]]:
    """Every part of the schema, each as text."""
    connection = await asyncpg.connect(database.url)
    try:
        return {part: {str(tuple(row)) for row in await connection.fetch(sql)} for part, sql in _PARTS.items()}
    finally:
        await connection.close()


async def seed(database: Database, runs: int) -> None:
    """`runs` flow runs with three task runs each, on any schema from the first one on."""
    connection = await asyncpg.connect(database.url)
    try:
        await connection.execute(_ROWS.format(runs=runs))
    finally:
        await connection.close()
