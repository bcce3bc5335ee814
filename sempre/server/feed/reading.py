"""Reading a log by cursor, as SQL: what is behind the position, and what appeared in its holes."""

__all__ = ["UNBOUNDED_HOLE", "rows_after"]

# True if a hole of the jsonb column `{holes}` ([[start, length, seen_xmax], ...]) waits for a bound.
UNBOUNDED_HOLE = "EXISTS (SELECT FROM jsonb_array_elements({holes}) h WHERE (h->>2)::bigint = 0)"


def rows_after(table: str, columns: str, *, position: str, holes: str, limit: str) -> str:
    """A query of the next ``limit`` rows of ``table`` in order of ``seq``.

    ``columns``, ``position``, ``holes`` and ``limit`` are SQL expressions. Each hole is a range scan of its own, for
    one condition over all of them would read the whole log.
    """
    return f"""
    SELECT * FROM (
        (SELECT {columns} FROM {table} WHERE seq > {position} ORDER BY seq LIMIT {limit})
        UNION ALL
        (
            SELECT late.* FROM jsonb_array_elements({holes}) hole
            CROSS JOIN LATERAL (
                SELECT {columns} FROM {table}
                WHERE seq >= (hole->>0)::bigint AND seq < (hole->>0)::bigint + (hole->>1)::bigint
                ORDER BY seq LIMIT {limit}
            ) late
        )
    ) both_parts ORDER BY seq LIMIT {limit}
    """
