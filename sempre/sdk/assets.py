"""Assets: what tasks make and use outside of the flow (tables, files, models), named by URIs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sempre.sdk.context import TaskRunContext
from sempre.sdk.tasks import Task

if TYPE_CHECKING:
    from typing import Unpack

    from sempre.sdk.function_options import TaskOptions

__all__ = ["Asset", "AssetProperties", "MaterializingTask", "add_asset_metadata", "asset_of", "materialize"]

P = ParamSpec("P")
R = TypeVar("R")

_URI = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]+", re.IGNORECASE)
_FORBIDDEN = re.compile(r"[\s\x00-\x1f\"'<>\\^`{|}]")
_LONGEST_KEY = 512


@dataclass(frozen=True, slots=True)
class AssetProperties:
    """What people are shown of an asset."""

    name: str | None = None
    url: str | None = None
    description: str | None = None
    owners: tuple[str, ...] | list[str] | None = None


@dataclass(frozen=True, slots=True)
class Asset:
    """``key`` is a URI of at most 512 characters, like `s3://bucket/table.parquet`. Raises ValueError for another."""

    key: str
    properties: AssetProperties | None = None

    def __post_init__(self) -> None:
        if not _URI.fullmatch(self.key) or _FORBIDDEN.search(self.key):
            raise ValueError(f"The key of an asset is a URI, like storage://bucket/folder/asset.csv, not {self.key!r}.")
        if len(self.key) > _LONGEST_KEY:
            raise ValueError(f"The key of an asset has at most {_LONGEST_KEY} characters, not {len(self.key)}.")

    def add_metadata(self, metadata: Mapping[str, Any]) -> None:
        """See :func:`add_asset_metadata`."""
        add_asset_metadata(self, metadata)

    def __hash__(self) -> int:
        return hash(self.key)


def asset_of(given: Asset | str) -> Asset:
    """The asset, or that of a key."""
    return Asset(given) if isinstance(given, str) else given


class MaterializingTask(Task[P, R]):
    """A task whose runs make assets."""

    def __init__(
        self, fn: Callable[P, R], *, assets: Iterable[Asset | str], materialized_by: str | None = None, **options: Any
    ) -> None:
        super().__init__(fn, **options)
        self.assets = tuple(map(asset_of, assets))
        self.materialized_by = materialized_by
        if not self.assets:
            raise ValueError("@materialize needs at least one asset.")

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "assets": self.assets, "materialized_by": self.materialized_by}


def materialize(
    *assets: Asset | str, by: str | None = None, **options: Unpack[TaskOptions]
) -> Callable[[Callable[P, R]], MaterializingTask[P, R]]:
    """Make a task of a function that makes these assets; ``by`` names the tool that it uses. Options as of `@task`.

    A run that completes tells that the assets were materialized, one that fails that they were not, and both which
    assets were used: those of ``asset_deps``, and those that came from the tasks before.
    """

    def decorate(fn: Callable[P, R]) -> MaterializingTask[P, R]:
        return MaterializingTask(fn, assets=assets, materialized_by=by, **options)

    return decorate


def add_asset_metadata(asset: Asset | str, metadata: Mapping[str, Any]) -> None:
    """Tell more of an asset that the task around the caller makes: rows, checksums, ... Later values win.

    Raises RuntimeError outside of such a task, ValueError for an asset that it does not make.
    """
    context = TaskRunContext.get()
    if context is None or not context.task.assets:
        raise RuntimeError("Metadata of assets can be added inside of a task made by @materialize only.")
    key = asset_of(asset).key
    if key not in {each.key for each in context.task.assets}:
        raise ValueError(f"The task {context.task.name!r} does not make the asset {key!r}.")
    context.asset_metadata.setdefault(key, {}).update(metadata)
