"""`sempre task`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sempre.cli.errors import CliError
from sempre.cli.users_code import errors_in_words, here

if TYPE_CHECKING:
    from sempre.sdk.tasks import Task

app = typer.Typer(no_args_is_help=True, help="Execute tasks that others leave to task workers.")


@app.callback()
def _group() -> None:
    """Keeps `serve` a command of its group."""


@app.command()
def serve(
    entrypoints: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE:TASK]...", help="The tasks: `tasks.py:resize`.")
    ] = None,
    module: Annotated[
        list[str] | None, typer.Option("--module", "-m", help="All tasks of a module; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="Most calls at once.")] = 10,
) -> None:
    """Execute calls that `task.delay(...)` leaves with the server, until Ctrl-C.

    Examples: `sempre task serve tasks.py:resize tasks.py:notify --limit 4`, `sempre task serve -m shop.tasks`
    """
    if not entrypoints and not module:
        raise CliError("Say which tasks to serve: FILE:TASK, or --module MODULE for all of a module's.")
    here()
    with errors_in_words():
        from sempre.sdk.background_tasks import serve as serve_tasks

        found = [*(_task(each) for each in entrypoints or ()), *(one for each in module or () for one in _all(each))]
        serve_tasks(*dict.fromkeys(found), limit=limit)


def _task(entrypoint: str) -> Task[Any, Any]:
    from sempre.sdk.loading import load_object
    from sempre.sdk.tasks import Task

    found = load_object(entrypoint)
    if not isinstance(found, Task):
        raise CliError(f"{entrypoint} is no task of Sempre; tasks are functions below @task.")
    return found


def _all(module: str) -> list[Task[Any, Any]]:
    from sempre.sdk.tasks import Task

    try:
        members = vars(importlib.import_module(module))
    except ImportError as error:
        raise CliError(f"The module {module!r} cannot be imported: {error}") from None
    found = [each for each in members.values() if isinstance(each, Task)]
    if not found:
        raise CliError(f"There are no tasks in the module {module!r}.")
    return found
