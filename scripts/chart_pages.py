
"""Writes each chart's values.schema.json and README.md from its values.yaml: ``python scripts/chart_pages.py``.

Names, defaults and comments come from values.yaml; what these do not tell (what may be null, open maps, choices) from
``scripts/chart_rules.py``. ``--check`` writes nothing and fails when a file is not what they say.
"""

import json
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from scripts.chart_rules import EXTRA, OPEN, OPEN_BESIDE, OPEN_WHILE_OFF, rule_of

CHARTS = Path(__file__).parents[1] / "charts"
NAMES = ("sempre-server", "sempre-worker")

_README = """\
# {name}

{description}
{guide}

```console
$ helm install {release} charts/{name} {example}
```

Made by `python scripts/chart_pages.py` from [values.yaml](values.yaml), as is [values.schema.json](values.schema.json),
which refuses names that are none. What cannot work is refused too, with what to set.

| Value | Default | |
|---|---|---|
"""
_GUIDE = "[docs/deploy/kubernetes.md](../../docs/deploy/kubernetes.md) goes through it step by step."
_EXAMPLES = {
    "sempre-server": ("sempre", "-f charts/sempre-server/presets/small.yaml"),
    "sempre-worker": (
        "worker",
        "--set worker.config.workPool=default --set worker.selfHostedServerApiConfig.apiUrl=http://...:4200/api",
    ),
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a chart's values."""
    made = deepcopy(_schema_of(name, (), yaml.safe_load(_values(name))))
    if "pools" in made["properties"]:
        # What a pool says over `worker` has its form.
        made["properties"]["pools"]["items"]["properties"]["worker"] = {"$ref": "#/properties/worker"}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": f"Values of {name}", **made}


def _values(name: str) -> str:
    return (CHARTS / name / "values.yaml").read_text()


def _schema_of(chart: str, path: tuple[str, ...], default: Any) -> dict[str, Any]:
    rule = rule_of(chart, path)
    if rule is not None:
        return rule
    if isinstance(default, dict):
        if not default:
            return OPEN
        return _object(chart, path, default)
    if default is None:
        raise SystemExit(f"{chart}: {'.'.join(path)} is null; scripts/chart_rules.py must say what it may be")
    return _SIMPLE[type(default)]


def _object(chart: str, path: tuple[str, ...], default: dict[str, Any]) -> dict[str, Any]:
    here = (chart, ".".join(path))
    properties = {key: _schema_of(chart, (*path, key), value) for key, value in default.items()}
    properties.update(EXTRA.get(here, {}))
    if here in OPEN_BESIDE:
        return {"type": "object", "properties": properties}
    closed = {"type": "object", "additionalProperties": False, "properties": properties}
    if here in OPEN_WHILE_OFF:
        switch = {"properties": {"enabled": properties["enabled"]}}
        return {"type": "object", **switch, "if": {"properties": {"enabled": {"const": True}}}, "then": closed}
    return closed


_SIMPLE: dict[type, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    str: {"type": "string"},
    list: {"type": "array"},
}


def readme(name: str) -> str:
    chart = yaml.safe_load((CHARTS / name / "Chart.yaml").read_text())
    release, example = _EXAMPLES[name]
    head = _README.format(
        name=name, description=chart["description"], guide=_GUIDE, release=release, example=example.strip()
    )
    text = _values(name)
    return head + "".join(_rows(name, (), yaml.compose(text), text.splitlines()))


def _rows(chart: str, path: tuple[str, ...], node: Any, lines: list[str]) -> Iterator[str]:
    for key, value in node.value:
        here = (*path, key.value)
        if isinstance(value, yaml.MappingNode) and value.value and rule_of(chart, here) is None:
            yield from _rows(chart, here, value, lines)
        else:
            default = json.dumps(yaml.safe_load(yaml.serialize(value)))
            shown = default if len(default) <= 60 else default[:57] + "..."
            said = _comment(lines, key.start_mark.line)
            yield f"| `{'.'.join(here)}` | `{shown}` | {said + ' ' if said else ''}|\n"


def _comment(lines: list[str], number: int) -> str:
    """The comment lines right above a key."""
    found: list[str] = []
    while number > 0 and lines[number - 1].strip().startswith("#"):
        number -= 1
        found.insert(0, lines[number].strip().removeprefix("#").strip())
    return " ".join(found).replace("|", "\\|").replace("<", "&lt;")


def files() -> dict[Path, str]:
    made = {}
    for name in NAMES:
        if (CHARTS / name).exists():
            made[CHARTS / name / "values.schema.json"] = json.dumps(schema(name), indent=1) + "\n"
            made[CHARTS / name / "README.md"] = readme(name)
    return made


def main() -> int:
    made = files()
    if "--check" not in sys.argv[1:]:
        for path, text in made.items():
            path.write_text(text)
        return 0
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(CHARTS.parent)} is not what values.yaml says: python scripts/chart_pages.py")
    return bool(stale)


if __name__ == "__main__":
    raise SystemExit(main())
