"""The root of the command tree. Groups are loaded when they are used: `sempre --help` imports none of them."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sempre.cli.output import fail

# Command name -> (where its Typer app is, what the root help says about it).
_GROUPS = {
    "server": ("sempre.cli.server:app", "Run the server, its services and its database."),
    "config": ("sempre.cli.config:app", "Look at settings and change those of a profile."),
    "version": ("sempre.cli.version:app", "Show versions."),
}


class LazyGroup(TyperGroup):
    """Lists commands by name and help line alone; the one that runs is imported then."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if name in _GROUPS:
            module, _, attribute = _GROUPS[name][0].partition(":")
            command = typer.main.get_command(getattr(importlib.import_module(module), attribute))
        return name, command, rest


app = typer.Typer(
    name="sempre",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A control plane for Python workflows that never stops.\n\n"
    "Start with `sempre server start`, then point clients at the address it prints.\n\n"
    "Examples: `sempre server services ls`, `sempre config view`, `sempre server database upgrade -y`",
)


def _placeholder() -> None:
    """Never runs: `resolve_command` puts the real command in its place."""


for _name, (_, _help) in _GROUPS.items():
    app.command(_name, help=_help)(_placeholder)


def _print_version(wanted: bool) -> None:
    if wanted:
        from sempre import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", help="Use this profile instead of the active one.")
    ] = None,
    prompt: Annotated[
        bool | None,
        typer.Option("--prompt/--no-prompt", help="Ask for confirmation, or never ask.", show_default=False),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", "-v", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if profile:
        os.environ["SEMPRE_PROFILE"] = profile
    if prompt is not None:
        os.environ["SEMPRE__PROMPT"] = "true" if prompt else "false"


def run() -> None:
    """Run the command line and end the process; errors that have a sentence for the user are shown as that."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(1)
    except Exception as error:
        if type(error).__name__ not in _EXPECTED:
            raise
        try:
            fail(str(error))
        except typer.Exit as end:
            sys.exit(end.exit_code)


# By name, so that none of these modules is imported for a command that does not use it.
_EXPECTED = frozenset({"SettingsError", "EmbeddedPostgresError", "ListenError", "BackgroundError", "CommandError"})
