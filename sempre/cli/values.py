"""What people type for structured values: `key=value`, JSON, files of JSON or YAML."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sempre.cli.errors import CliError


def parse_value(text: str) -> Any:
    """JSON where it is JSON, the text itself otherwise."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse_pairs(pairs: list[str] | None, option: str) -> dict[str, Any]:
    """`["n=3", 'env={"A": "1"}']` as a mapping. Raises CliError for what is not of that form."""
    found: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise CliError(f"{option} {pair!r} is not of the form name=value")
        found[name.strip()] = parse_value(value)
    return found


def parse_object(text: str, option: str) -> dict[str, Any]:
    """A JSON object; `-` reads it from standard input. Raises CliError."""
    source = sys.stdin.read() if text == "-" else text
    try:
        value = json.loads(source)
    except ValueError as error:
        raise CliError(f"{option} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise CliError(f"{option} must be a JSON object, such as '{{\"n\": 3}}'")
    return value


def read_document(path: Path) -> Any:
    """What a file of JSON or YAML holds; `-` is standard input. Raises CliError."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from None
    if path.suffix == ".json":
        try:
            return json.loads(text)
        except ValueError as error:
            raise CliError(f"{path} is no JSON: {error}") from None
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CliError(f"{path} is no YAML: {error}") from None


def write_document(path: Path, document: Any) -> None:
    """JSON into a file. Raises CliError when it cannot be written."""
    try:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}") from None


def to_yaml(document: Any) -> str:
    """YAML in the order of the document."""
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text
