"""What `init` writes: project files for the usual places that code lies in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sempre.sdk.deploying.git import origin_of
from sempre.sdk.deploying.images import code_directory
from sempre.sdk.deploying.storages import STEPS
from sempre.sdk.errors import ConfigurationError

__all__ = ["RECIPES", "Recipe", "project_text", "recipe_of"]


@dataclass(frozen=True)
class Recipe:
    """What it is for, which fields have to be given, and the sections it makes of them (`{field}` stands for one)."""

    about: str
    fields: tuple[str, ...] = ()
    build: tuple[Mapping[str, Any], ...] = ()
    push: tuple[Mapping[str, Any], ...] = ()
    pull: tuple[Mapping[str, Any], ...] = ()
    job_variables: Mapping[str, Any] | None = None


_BUILD = {
    f"{STEPS}.build_docker_image": {
        "id": "build-image", "image_name": "{image_name}", "tag": "{tag}", "dockerfile": "auto"
    }
}  # fmt: skip
_PUSH = {
    f"{STEPS}.push_docker_image": {
        "image_name": "{{{{ build-image.image_name }}}}", "tag": "{{{{ build-image.tag }}}}"
    }
}  # fmt: skip
_IMAGE = {"image": "{{{{ build-image.image }}}}"}
_CLONE = {f"{STEPS}.git_clone": {"repository": "{repository}", "branch": "{branch}"}}


def _bucket(about: str, url: str, *fields: str) -> Recipe:
    push, pull = ({f"{STEPS}.{name}_remote_storage": {"url": url}} for name in ("push_to", "pull_from"))
    return Recipe(about, fields, push=(push,), pull=(pull,))


RECIPES = {
    "local": Recipe(
        "Workers on this machine use this directory.",
        pull=({f"{STEPS}.set_working_directory": {"directory": "{directory}"}},),
    ),
    "git": Recipe("Workers clone a git repository.", ("repository", "branch"), pull=(_CLONE,)),
    "docker": Recipe(
        "Workers run an image that holds the code.",
        ("image_name", "tag"), (_BUILD,), (_PUSH,),
        ({f"{STEPS}.set_working_directory": {"directory": "{code_directory}"}},), _IMAGE,
    ),
    "docker-git": Recipe(
        "Workers run an image of this project, and clone the code into it.",
        ("image_name", "tag", "repository", "branch"), (_BUILD,), (_PUSH,), (_CLONE,), _IMAGE,
    ),
    "s3": _bucket("Workers copy the code from S3.", "s3://{bucket}/{folder}", "bucket", "folder"),
    "gcs": _bucket("Workers copy the code from Google Cloud Storage.", "gs://{bucket}/{folder}", "bucket", "folder"),
    "azure": _bucket(
        "Workers copy the code from Azure Blob Storage.", "az://{container}/{folder}", "container", "folder"
    ),
}  # fmt: skip


def recipe_of(name: str) -> Recipe:
    """Raises ConfigurationError if there is none of this name."""
    if name not in RECIPES:
        raise ConfigurationError(f"There is no recipe {name!r}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]


def defaults(directory: Path) -> dict[str, str]:
    """What a directory says of itself."""
    found = {
        "name": directory.name,
        "directory": str(directory),
        "code_directory": code_directory(directory),
        "folder": directory.name,
        "tag": "latest",
    }
    origin = origin_of(directory)
    return found if origin is None else {**found, "repository": origin[0], "branch": origin[1]}


def project_text(name: str, recipe: Recipe, fields: Mapping[str, str]) -> str:
    """The project file, with comments that say what belongs where. Raises ConfigurationError for missing fields."""
    import yaml

    missing = [field for field in recipe.fields if not fields.get(field)]
    if missing:
        raise ConfigurationError(f"The recipe needs {', '.join(missing)}: say --field {missing[0]}=...")
    known = {**fields, "name": name}
    sections = [(comment, section, _filled(list(getattr(recipe, section)), known)) for comment, section in _SECTIONS]
    parts = [f"# The deployments of this directory: `sempre deploy --all` makes them known.\nname: {name}\n"]
    parts += [f"# {comment}\n{_yaml(yaml, {section: steps or None})}" for comment, section, steps in sections]
    example: dict[str, Any] = {
        "name": None, "entrypoint": None, "version": None, "tags": [], "description": None, "parameters": {},
        "schedules": [],
        "work_pool": {
            "name": None, "work_queue_name": None, "job_variables": _filled(dict(recipe.job_variables or {}), known)
        },
    }  # fmt: skip
    listed = _yaml(yaml, {"deployments": [example]})
    commented = "\n".join(f"# {line}" for line in listed.splitlines()[1:])
    parts.append(f"# What to deploy; `sempre deploy` adds to it.\ndeployments: []\n{commented}\n")
    return "\n".join(parts)


_SECTIONS = (
    ("Before deploying: what builds the image, if there is one.", "build"),
    ("And what brings it to where workers get it from.", "push"),
    ("Where a run is executed: what brings the code there.", "pull"),
)


def _filled(value: Any, fields: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _filled(each, fields) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(each, fields) for each in value]
    return value.format(**fields) if isinstance(value, str) else value


def _yaml(yaml: Any, value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))
