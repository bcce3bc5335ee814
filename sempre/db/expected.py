"""The indexes that a schema is to have, as its revisions say."""

import re

from sempre.db import migrate
from sempre.db.migrations.indexes import Index

__all__ = ["indexes_of"]

_COMMENT = re.compile(r"--[^\n]*")
_STATEMENT = re.compile(
    r"""
    CREATE\s+(?P<unique>UNIQUE\s+)?INDEX\s+(?:CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>\w+)
        \s+ON\s+(?:ONLY\s+)?(?P<table>\w+)\s*(?P<definition>[^;]+);
    | DROP\s+(?P<dropped>INDEX|TABLE)\s+(?:CONCURRENTLY\s+)?(?:IF\s+EXISTS\s+)?(?P<names>\w+(?:\s*,\s*\w+)*)
    """,
    re.VERBOSE,
)


def indexes_of(revision: str) -> dict[str, Index]:
    """By name, those that the database is to have at ``revision``. Indexes of constraints are not among them: they are
    there as long as their constraints are."""
    found: dict[str, Index] = {}
    for match in _STATEMENT.finditer(_COMMENT.sub("", migrate.sql_of(None, revision))):
        gone = re.split(r"\s*,\s*", match["names"] or "")
        if match["dropped"] == "INDEX":
            found = {name: index for name, index in found.items() if name not in gone}
        elif match["dropped"]:
            found = {name: index for name, index in found.items() if index.table not in gone}
        else:
            definition = " ".join(match["definition"].split())
            found[match["name"]] = Index(match["name"], match["table"], definition, unique=bool(match["unique"]))
    return found
