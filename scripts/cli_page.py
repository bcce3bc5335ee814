"""Writes docs/cli.md, every command with its flags, from the code: ``python scripts/cli_page.py``.

``--check`` writes nothing and fails when the page is not what the code says (part of ``make lint``).
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sempre.cli.app import group_names, load_group

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

_HEAD = """\
# The command line

Every command, made from the code by `python scripts/cli_page.py`. `sempre COMMAND --help` says the same.

- Commands ask the API of `SEMPRE_API_URL`, in the environment or the profile in use; without one, the server that these
  settings would start on this machine. `sempre --profile NAME ...` uses another profile for one command.
- `-o json` prints documents as the API gives them, and nothing else on standard output.
- Where a thing is asked for by name, its id will do, too. Group names are valid in singular and plural.
- Questions are asked on a terminal only; `-y` or `sempre --no-prompt ...` asks none.
- Exit codes: 0 done, 1 failed or refused, 2 wrong usage; others are said with their commands.
- While the API is away, a command tries for ten seconds (`SEMPRE_CLIENT_PATIENCE_SECONDS`, if it is set).
- `sempre --install-completion` teaches the shell to complete commands and flags.
"""


def page() -> str:
    parts = [_HEAD]
    for name in group_names():
        parts += [f"\n## sempre {name}\n", *_command(f"sempre {name}", load_group(name), depth=3)]
    return "".join(parts)


def walk() -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its full name; hidden ones too."""
    for name in group_names():
        yield from _leaves(f"sempre {name}", load_group(name))


def _leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    commands: dict[str, Any] = getattr(command, "commands", {})
    if not commands:
        yield path, command
    for name, child in commands.items():
        # A hidden group is a second name of one that is shown.
        if not (child.hidden and hasattr(child, "commands")):
            yield from _leaves(f"{path} {name}", child)


def _command(path: str, command: Any, depth: int) -> Iterator[str]:
    commands: dict[str, Any] = getattr(command, "commands", {})
    yield f"\n{inspect.cleandoc(command.help or '')}\n"
    if not commands:
        yield from _parameters(path, command)
    for name, child in commands.items():
        if not child.hidden:
            yield f"\n{'#' * depth} {path} {name}\n"
            yield from _command(f"{path} {name}", child, depth + 1)


def _parameters(path: str, command: Any) -> Iterator[str]:
    shown = [each for each in command.params if not getattr(each, "hidden", False) and each.name != "help"]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    names = " ".join(_metavar(each) for each in arguments)
    yield f"\n`{path}{' ' + names if names else ''}{' [OPTIONS]' if len(shown) > len(arguments) else ''}`\n"
    if shown:
        yield "\n| | |\n|---|---|\n"
    for each in shown:
        name = _metavar(each) if each in arguments else ", ".join([*each.opts, *each.secondary_opts])
        yield f"| `{_cell(name)}` | {_cell(_words(each))} |\n"


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _words(parameter: Any) -> str:
    text = " ".join((parameter.help or "").split())
    plain = isinstance(parameter.default, (int, float, str)) and not isinstance(parameter.default, bool)
    return f"{text} Default: {parameter.default}." if plain and "default:" not in text else text


def main() -> int:
    if "--check" not in sys.argv:
        PAGE.write_text(page())
        return 0
    if PAGE.read_text() != page():
        print(f"{PAGE.name} is not what the code says: run `python scripts/cli_page.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
