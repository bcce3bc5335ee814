"""Writes docs/settings.md, the table of every setting, from the code: ``python scripts/settings_page.py``.

``--check`` writes nothing and fails when the page is not what the code says (part of ``make lint``).
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, get_type_hints

from sempre.server.settings import Settings, describe
from sempre.settings import ClientSettings, SettingInfo, client

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

_HEAD = """\
# Settings

Every setting, those of the server processes first, made from the code by `python scripts/settings_page.py`. Set them in
the environment, or with `sempre config set NAME=VALUE` in a profile; `sempre config view --show-sources` says where a
value comes from, `sempre config validate` whether all of them can be used.

Durations are seconds, or `90s`, `5m`, `2h`, `7d`, `PT5M`, `2 days`, `1:00:00`. Lists have commas. The names in the last
column are those of existing manifests; where several are set, the first one of a row wins.
"""

_CLIENTS = "What scripts, flow runs, workers and the command line read. Sources and forms are the same.\n"


def page() -> str:
    clients = f"\n# Settings of clients\n\n{_CLIENTS}"
    return "".join([_HEAD, *_sections(Settings, describe()), clients, *_sections(ClientSettings, client.describe())])


def _sections(root: type[Any], infos: Iterable[SettingInfo]) -> Iterator[str]:
    for section, settings in groupby(infos, key=lambda info: info.path.rpartition(".")[0]):
        yield f"\n## {_title(section)}\n\n{_purpose(root, section)}\n\n{_table(settings)}"


def _title(section: str) -> str:
    return " / ".join(part.replace("_", " ").capitalize() for part in section.split(".")) if section else "General"


def _purpose(root: type[Any], section: str) -> str:
    kind: Any = root
    for part in section.split(".") if section else ():
        kind = get_type_hints(kind)[part]
    text = (kind.__doc__ or "").strip()
    return "What all processes share." if kind is root else text.split("\n\n")[0].replace("\n", " ")


def _table(settings: Iterable[SettingInfo]) -> str:
    rows = ["| Setting | Default | | Also accepted |", "|---|---|---|---|"]
    for info in settings:
        also = " ".join(f"`{alias}`" for alias in info.aliases)
        rows.append(f"| `{info.name}` | {_default(info)} | {' '.join(_words(info))} | {also} |")
    return "\n".join(rows) + "\n"


def _default(info: SettingInfo) -> str:
    value = info.default
    if value is None or value == "":
        return ""
    if info.path == "home":
        return "`~/.sempre`"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" + (" s" if info.type == "duration" else "")
    if isinstance(value, tuple | frozenset | set):
        return ",".join(sorted(map(str, value)))
    return str(value).replace("|", "\\|")


def _words(info: SettingInfo) -> Iterator[str]:
    yield " ".join(info.doc.split()).replace("|", "\\|")
    low, high = info.spec.minimum, info.spec.maximum
    if low is not None and high is not None:
        yield f"{low:g} to {high:g}."
    elif low:
        yield f"At least {low:g}."
    elif high is not None:
        yield f"At most {high:g}."
    if info.secret:
        yield "Secret: never shown."


def main() -> int:
    made = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(made)
        return 0
    if not PAGE.exists() or PAGE.read_text() != made:
        print("docs/settings.md is not what the code says: python scripts/settings_page.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
