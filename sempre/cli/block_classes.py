"""Block types by the classes that code defines them with."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from sempre.cli.errors import CliError
from sempre.cli.rest import Json
from sempre.sdk.blocks import Block
from sempre.settings import temporary_settings

__all__ = ["register_all"]


def register_all(api_url: str, source: str | Path) -> list[Json]:
    """Register the block classes that a module (by name) or a file defines; returns `name`, `slug` and `id` of each
    type. Raises CliError if it cannot be loaded or defines none."""
    module = _loaded(source)
    kinds = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Block) and _is_in(kind.__module__, module.__name__)
    ]
    if not kinds:
        raise CliError(f"{source} defines no blocks: classes below sempre.blocks.core.Block.")
    made = []
    with temporary_settings({"api.url": api_url}):
        for kind in kinds:
            type_id, _ = kind.register_type_and_schema()
            made.append({"id": str(type_id), "slug": kind.get_block_type_slug(), "name": kind.get_block_type_name()})
    return made


def _is_in(home: str, module: str) -> bool:
    """A package also has what its modules define, and what was imported from elsewhere is not its own."""
    return home == module or home.startswith(f"{module}.")


def _loaded(source: str | Path) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(source) if isinstance(source, str) else _from_file(source)
    except CliError:
        raise
    except Exception as error:
        raise CliError(f"{source} cannot be loaded: {type(error).__name__}: {error}") from error


def _from_file(path: Path) -> ModuleType:
    if path.suffix != ".py" or not path.is_file():
        raise CliError(f"{path} is no file of Python.")
    specification = importlib.util.spec_from_file_location(path.stem, path.absolute())
    if specification is None or specification.loader is None:
        raise CliError(f"{path} is no file of Python.")
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module  # pydantic looks up what annotations name there
    specification.loader.exec_module(module)
    return module
