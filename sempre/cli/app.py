"""The root of the command tree. Groups are loaded when they are used: `sempre --help` imports none of them."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sempre.cli.ending import end
from sempre.cli.errors import CliError
from sempre.cli.output import fail

# Command name -> (where its Typer app is, what the root help says about it).
_GROUPS = {
    "flow-run": ("sempre.cli.flow_run:app", "Look at flow runs, follow them, cancel and retry them."),
    "task-run": ("sempre.cli.task_run:app", "Look at task runs and their logs."),
    "flow": ("sempre.cli.flow:app", "Look at flows."),
    "task": ("sempre.cli.task:app", "Execute tasks that others leave to task workers."),
    "init": ("sempre.cli.init:app", "Write a project file for this directory."),
    "deploy": ("sempre.cli.deploy:app", "Create or change the deployments of this directory."),
    "deployment": ("sempre.cli.deployment:app", "Run, schedule, apply and inspect deployments."),
    "work-pool": ("sempre.cli.work_pool:app", "Create and steer work pools."),
    "worker": ("sempre.cli.worker:app", "Start workers."),
    "work-queue": ("sempre.cli.work_queue:app", "Create and steer the queues of work pools."),
    "variable": ("sempre.cli.variable:app", "Read and set variables."),
    "block": ("sempre.cli.block:app", "Look at blocks and block types."),
    "artifact": ("sempre.cli.artifact:app", "Look at artifacts."),
    "concurrency-limit": ("sempre.cli.concurrency_limit:app", "Limit how many tasks with a tag run at once."),
    "global-concurrency-limit": (
        "sempre.cli.global_concurrency_limit:app", "Limit anything by name, across flows and machines."
    ),
    "automation": ("sempre.cli.automation:app", "Create and steer automations."),
    "event": ("sempre.cli.event:app", "Watch events as they happen, emit some."),
    "shell": ("sempre.cli.shell:app", "Run shell commands as flow runs."),
    "api": ("sempre.cli.api:app", "Call the API directly."),
    "transfer": ("sempre.cli.transfer.command:app", "Copy what was set up on one server to another."),
    "canary": ("sempre.cli.canary:app", "Check an installation from one end to the other."),
    "dashboard": ("sempre.cli.dashboard:app", "Open the web UI."),
    "profile": ("sempre.cli.profile:app", "Keep settings for several servers and switch between them."),
    "config": ("sempre.cli.config:app", "Look at settings and change those of a profile."),
    "server": ("sempre.cli.server:app", "Run the server, its services and its database."),
    "version": ("sempre.cli.version:app", "Show versions."),
}  # fmt: skip

# Other names that people know or guess. Every group is also there under its plural.
_ALIASES = {"gcl": "global-concurrency-limit", "events": "event"} | {
    f"{name}s": name
    for name in _GROUPS
    if name not in ("api", "config", "deploy", "init", "server", "shell", "version", "transfer", "dashboard")
}


class LazyGroup(TyperGroup):
    """Lists commands by name and help line alone; the one that runs is imported then.

    Errors that have a sentence for the user are shown as that, wherever in the command they were raised.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in _ALIASES:
            args = [_ALIASES[args[0]], *args[1:]]
        name, command, rest = super().resolve_command(ctx, args)
        if name in _GROUPS:
            command = load_group(name)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CliError as error:
            fail(str(error), error.code)
        except Exception as error:
            if type(error).__name__ not in _EXPECTED:
                raise
            fail(str(error))
        finally:
            end()


def group_names() -> list[str]:
    """The groups and commands at the root, as the root help lists them."""
    return list(_GROUPS)


def load_group(name: str) -> Any:
    """The click command of a group, imported now."""
    module, _, attribute = _GROUPS[name][0].partition(":")
    command = typer.main.get_command(getattr(importlib.import_module(module), attribute))
    command.name = name
    return command


app = typer.Typer(
    name="sempre",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A control plane for Python workflows that never stops.\n\n"
    "Start with `sempre server start`, then point clients at the address it prints.\n\n"
    "Examples: `sempre deployment run etl/nightly --watch`, `sempre flow-run ls`, `sempre server status --wait`",
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
    """Run the command line and end the process."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(1)


# By name, so that none of these modules is imported for a command that does not use it.
_EXPECTED = frozenset({"SettingsError", "EmbeddedPostgresError", "ListenError", "BackgroundError", "CommandError"})
