"""`sempre server database`: the schema."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from sempre.cli.glance import database_in_words
from sempre.cli.output import Output, Yes, confirm, fail, print_json, print_table, wants_json
from sempre.server.settings import Settings, load_settings

app = typer.Typer(
    no_args_is_help=True, help="Upgrade, downgrade, reset, inspect and repair the schema of the database."
)

T = TypeVar("T")
_DOCTOR_SECONDS = 60.0

_DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the SQL and change nothing.")]


def _on_database(settings: Settings, work: Callable[[str, dict[str, Any]], Awaitable[T]]) -> T:
    """Run `work(dsn, connection options)`. Ends the command with 1 when the database cannot be used."""
    # The database libraries are loaded by the command that needs them.
    import asyncpg
    from alembic.util import CommandError
    from sqlalchemy.exc import SQLAlchemyError

    from sempre.server.process import with_database

    async def call(dsn: str) -> T:
        return await work(dsn, settings.database.migration_options())

    with with_database(settings) as ready:
        assert ready.database.connection_url is not None
        try:
            return asyncio.run(call(ready.database.connection_url))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError, CommandError) as error:
            reason = str(error) or type(error).__name__
            fail(f"{database_in_words(settings)}: {reason}")


@app.command()
def upgrade(
    yes: Yes = False,
    revision: Annotated[str, typer.Option("--revision", "-r", help="Revision to upgrade to.")] = "head",
    dry_run: _DryRun = False,
) -> None:
    """Bring the schema up to date.

    Safe while servers run, and safe from several machines at once: one works, the others wait for it. Interrupted, it
    goes on where it stopped the next time.

    Example: `sempre server database upgrade -y`, as a job before the new version is rolled out.
    """
    from sempre.db import migrate

    settings = load_settings()
    if dry_run:
        found = _on_database(settings, lambda dsn, options: migrate.current(dsn, options=options))
        typer.echo(migrate.sql_of(found, revision).strip() or "-- The schema is there already.")
        return

    async def work(dsn: str, options: dict[str, Any]) -> tuple[str | None, str | None]:
        before = await migrate.current(dsn, options=options)
        await migrate.upgrade(dsn, revision, options=options, tell=typer.echo)
        return before, await migrate.current(dsn, options=options)

    confirm(f"Upgrade the schema of the {database_in_words(settings)}?", yes=yes)
    before, after = _on_database(settings, work)
    typer.echo(f"The schema is at {after}{', as it was before' if after == before else ''}.")


@app.command()
def downgrade(
    yes: Yes = False,
    revision: Annotated[
        str, typer.Option("--revision", "-r", help="Revision to go back to; -1 undoes the last one, `base` all.")
    ] = "-1",
    dry_run: _DryRun = False,
) -> None:
    """Undo revisions of the schema. Data that only the newer schema can hold is lost.

    Example: `sempre server database downgrade --dry-run` shows what the last revision would take with it.
    """
    from sempre.db import migrate

    settings = load_settings()
    if dry_run:
        found = _on_database(settings, lambda dsn, options: migrate.current(dsn, options=options))
        typer.echo(migrate.sql_of(found, revision, back=True))
        return

    async def work(dsn: str, options: dict[str, Any]) -> str | None:
        await migrate.downgrade(dsn, revision, options=options, tell=typer.echo)
        return await migrate.current(dsn, options=options)

    confirm(f"Downgrade the schema of the {database_in_words(settings)} to {revision}?", yes=yes)
    after = _on_database(settings, work)
    typer.echo(f"The schema is at {after}." if after else "The database is empty.")


@app.command()
def reset(yes: Yes = False) -> None:
    """Delete everything in the database and build the schema again. There is no way back.

    Example: `sempre server database reset -y`, to start a test from nothing.
    """
    from sempre.db import migrate

    settings = load_settings()
    confirm(f"Delete ALL data in the {database_in_words(settings)}?", yes=yes)
    _on_database(settings, lambda dsn, options: migrate.reset(dsn, options=options, tell=typer.echo))
    typer.echo("The database is empty and its schema up to date.")


@app.command()
def stamp(revision: Annotated[str, typer.Argument(help="Revision to record.")]) -> None:
    """Record a revision without running it. Only for repairs.

    Example: `sempre server database stamp 0001` after the schema was restored from a dump without it.
    """
    from sempre.db import migrate

    _on_database(load_settings(), lambda dsn, options: migrate.stamp(dsn, revision, options=options))
    typer.echo(f"The database is recorded as being at {revision}.")


@app.command()
def current(output: Output = None) -> None:
    """Show the revision the schema is at, and the newest this release knows.

    Example: `sempre server database current -o json`
    """
    from sempre.db import migrate

    as_json = wants_json(output)
    found = _on_database(load_settings(), lambda dsn, options: migrate.current(dsn, options=options))
    newest = migrate.head()
    if as_json:
        print_json({"current": found, "head": newest, "up_to_date": found == newest})
    elif found is None:
        typer.echo(f"The database is empty (newest revision: {newest}). Run `sempre server database upgrade`.")
    else:
        typer.echo(f"{found} (up to date)" if found == newest else f"{found} (newest: {newest})")


@app.command()
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Cure what needs nobody's judgement.")] = False,
    output: Output = None,
) -> None:
    """Look for what is wrong with the database: unfinished and missing indexes, partitions, dead letters, bloat.

    Safe while servers run, with --fix too: indexes are built concurrently. Exit codes: 0 nothing is broken, 1 something
    is.

    Example: `sempre server database doctor --fix` after an upgrade that was interrupted.
    """
    from sempre.db import doctor as examination
    from sempre.db.pool import Database

    as_json = wants_json(output)
    settings = load_settings()
    days = settings.services.partition_keeper.days_ahead

    async def work(dsn: str, options: dict[str, Any]) -> list[examination.Finding]:
        db = Database(
            dsn, size=1, statement_timeout=_DOCTOR_SECONDS, statement_cache_size=0, tls=settings.database.ssl_context(),
            server_settings=settings.database.server_settings(),
        )  # fmt: skip
        await db.open()
        try:
            found = await examination.examine(db, options=options, days_ahead=days)
            if not fix:
                return found
            # Machines read standard output, so it is the others that are told here.
            return await examination.fix(
                db, found, options=options, days_ahead=days, tell=lambda sentence: typer.echo(sentence, err=as_json)
            )
        finally:
            await db.close()

    found = _on_database(settings, work)
    broken = any(finding.state == "broken" and not finding.fixed for finding in found)
    if as_json:
        print_json({"healthy": not broken, "findings": [dataclasses.asdict(finding) for finding in found]})
    elif not found:
        typer.echo("Nothing is wrong.")
    else:
        print_table(
            ("Check", "Subject", "State", "What", "Cure"),
            [
                (one.check, one.subject, "fixed" if one.fixed else one.state, one.detail, one.cure or "")
                for one in found
            ],
        )
        if broken and not fix and any(finding.cure for finding in found):
            typer.echo("Run `sempre server database doctor --fix` to cure what has a cure.")
    raise typer.Exit(1 if broken else 0)
