"""Block types of products that flows work with: the catalogue a user chooses from before anything is installed.

What they are called, hold and can do is a file of ours (``integration_types.json``), nothing is fetched. A client that
has the package itself registers its own schema beside ours.
"""

from functools import cache
from importlib import resources
from typing import Any

import orjson

from sempre.server.blocks.system_types import SystemType

__all__ = ["integration_types"]


@cache
def integration_types() -> tuple[SystemType, ...]:
    """All of them; a type comes after those whose blocks it holds."""
    content = orjson.loads(resources.files(__package__).joinpath("integration_types.json").read_bytes())
    types: dict[str, SystemType] = {}
    for given in content["types"]:
        types[given["slug"]] = _type(given, content["definitions"], types)
    return tuple(types.values())


def _type(given: dict[str, Any], definitions: dict[str, Any], known: dict[str, SystemType]) -> SystemType:
    references = given.get("references", {})
    return SystemType(
        slug=given["slug"],
        name=given["name"],
        package=given["package"],
        title=given["title"],
        description=given["description"],
        properties=given["properties"],
        required=tuple(given.get("required", ())),
        secrets=tuple(given.get("secrets", ())),
        capabilities=tuple(given.get("capabilities", ())),
        definitions={name: definitions[name] for name in given.get("definitions", ())},
        references={field: tuple(known[slug] for slug in slugs) for field, slugs in references.items()},
    )
