"""`profiles.toml` under the home directory: named sets of settings, one of them active.

active = "default"

[profiles.default]
SEMPRE_SERVER_API_PORT = "4300"
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sempre.settings.errors import SettingsError

DEFAULT_PROFILE = "default"


def default_home() -> Path:
    """`~/.sempre`; below `/` for a user whom the machine does not know and who has no HOME, as in some containers."""
    try:
        return Path("~/.sempre").expanduser()
    except RuntimeError:
        return Path("/.sempre")


@dataclass
class Profiles:
    """The profiles of one file: `active` names the one in use, `values` maps profile to setting to text."""

    active: str = DEFAULT_PROFILE
    values: dict[str, dict[str, str]] = field(default_factory=dict)

    def current(self) -> dict[str, str]:
        """Settings of the active profile."""
        return self.values.get(self.active, {})


def read_profiles(path: Path) -> Profiles:
    """The profiles in a file; none when it does not exist. Raises SettingsError when it cannot be understood."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Profiles()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read as a profiles file: {error}") from None
    tables = document.get("profiles", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise SettingsError(f"{path} has a [profiles] entry that is not a table of settings")
    values = {
        name: {key: value if isinstance(value, str) else json.dumps(value) for key, value in table.items()}
        for name, table in tables.items()
    }
    return Profiles(active=str(document.get("active") or DEFAULT_PROFILE), values=values)


def _quoted(text: str) -> str:
    # A TOML basic string and a JSON string differ in one character: DEL must be escaped in TOML.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def render_profiles(profiles: Profiles) -> str:
    """The text of a profiles file."""
    lines = [f"active = {_quoted(profiles.active)}"]
    for name, table in profiles.values.items():
        lines += ["", f"[profiles.{_quoted(name)}]"]
        lines += [f"{_quoted(key)} = {_quoted(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def write_profiles(path: Path, profiles: Profiles) -> None:
    """Replace the file in one step, readable by its owner only: profiles hold passwords."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(render_profiles(profiles))
    temporary.replace(path)


def upper_keys(values: Mapping[str, str]) -> dict[str, str]:
    """The same mapping with upper-case names: names of settings are case-insensitive."""
    return {key.upper(): value for key, value in values.items()}
