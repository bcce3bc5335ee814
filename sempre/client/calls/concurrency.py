"""Concurrency limits: slots by name with leases, and the older view by tag."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, path_part, plain
from sempre.client.calls.base import Calls
from sempre.client.errors import ObjectAlreadyExists, ObjectNotFound

__all__ = ["ConcurrencyCalls"]

_V2 = "/v2/concurrency_limits"


class ConcurrencyCalls(Calls):
    # --- slots -----------------------------------------------------------------------------------------

    async def increment_concurrency_slots_with_lease(
        self,
        names: Iterable[str],
        slots: int,
        mode: str = "concurrency",
        lease_duration: float = 300,
        holder: Given | None = None,
    ) -> models.ConcurrencyLimitWithLeaseResponse:
        """Take slots of every limit that exists of `names`, for `lease_duration` seconds. An answer without limits
        means that none of them exists. ApiRefused with 423 while there are too few: `retry_after` seconds later is a
        good time to ask again."""
        body = body_of(names=sorted(names), slots=slots, mode=mode, lease_duration=lease_duration, holder=holder)
        return await self._one(models.ConcurrencyLimitWithLeaseResponse, "POST", f"{_V2}/increment-with-lease", body)

    async def renew_concurrency_lease(self, lease_id: UUID | str, lease_duration: float) -> None:
        """Keep the slots for so many seconds from now. ObjectNotFound once the lease is gone."""
        body = {"lease_duration": lease_duration}
        await self._request("POST", f"{_V2}/leases/{path_part(lease_id)}/renew", body)

    async def release_concurrency_slots_with_lease(self, lease_id: UUID | str) -> None:
        """Give the slots back; a lease that is gone already changes nothing."""
        try:
            await self._request("POST", f"{_V2}/decrement-with-lease", {"lease_id": str(lease_id)})
        except ObjectNotFound as error:
            if not error.repeated:
                raise

    async def increment_concurrency_slots(
        self, names: Iterable[str], slots: int, mode: str = "concurrency"
    ) -> list[models.MinimalConcurrencyLimitResponse]:
        """Take slots without a lease: of limits that decay (`mode="rate_limit"`), which nobody gives back."""
        body = {"names": sorted(names), "slots": slots, "mode": mode}
        return await self._many(models.MinimalConcurrencyLimitResponse, "POST", f"{_V2}/increment", body)

    async def release_concurrency_slots(
        self, names: Iterable[str], slots: int, occupancy_seconds: float
    ) -> list[models.MinimalConcurrencyLimitResponse]:
        """Give back slots that were taken without a lease."""
        body = {"names": sorted(names), "slots": slots, "occupancy_seconds": occupancy_seconds}
        return await self._many(models.MinimalConcurrencyLimitResponse, "POST", f"{_V2}/decrement", body)

    # --- limits by name --------------------------------------------------------------------------------

    async def create_global_concurrency_limit(self, concurrency_limit: Given) -> UUID:
        """Create a limit from a `ConcurrencyLimitV2Create`; returns its id. ObjectAlreadyExists if there is one."""
        body = plain(concurrency_limit)
        try:
            return (await self._one(models.ConcurrencyLimitV2, "POST", f"{_V2}/", body)).id
        except ObjectAlreadyExists as error:
            if not error.repeated:
                raise
            return (await self.read_global_concurrency_limit_by_name(body["name"])).id

    async def read_global_concurrency_limit_by_name(self, name: str) -> models.GlobalConcurrencyLimitResponse:
        return await self._one(models.GlobalConcurrencyLimitResponse, "GET", f"{_V2}/{path_part(name)}")

    async def read_global_concurrency_limits(
        self, limit: int | None = None, offset: int = 0
    ) -> list[models.GlobalConcurrencyLimitResponse]:
        body = body_of(limit=limit, offset=offset)
        return await self._many(models.GlobalConcurrencyLimitResponse, "POST", f"{_V2}/filter", body)

    async def update_global_concurrency_limit(self, name: str, concurrency_limit: Given) -> None:
        await self._request("PATCH", f"{_V2}/{path_part(name)}", plain(concurrency_limit))

    async def upsert_global_concurrency_limit_by_name(self, name: str, limit: int) -> None:
        """Create the limit, or change how many slots it has."""
        try:
            await self.update_global_concurrency_limit(name, {"limit": limit})
        except ObjectNotFound:
            await self.create_global_concurrency_limit({"name": name, "limit": limit})

    async def delete_global_concurrency_limit_by_name(self, name: str) -> None:
        await self._delete(f"{_V2}/{path_part(name)}")

    # --- limits by tag ---------------------------------------------------------------------------------

    async def create_concurrency_limit(self, tag: str, concurrency_limit: int) -> UUID:
        """Limit the task runs with a tag, or change the limit there is. Returns its id."""
        body = {"tag": tag, "concurrency_limit": concurrency_limit}
        return (await self._one(models.ConcurrencyLimit, "POST", "/concurrency_limits/", body)).id

    async def read_concurrency_limit_by_tag(self, tag: str) -> models.ConcurrencyLimit:
        return await self._one(models.ConcurrencyLimit, "GET", f"/concurrency_limits/tag/{path_part(tag)}")

    async def read_concurrency_limits(self, limit: int | None = None, offset: int = 0) -> list[models.ConcurrencyLimit]:
        body = body_of(limit=limit, offset=offset)
        return await self._many(models.ConcurrencyLimit, "POST", "/concurrency_limits/filter", body)

    async def reset_concurrency_limit_by_tag(self, tag: str, slot_override: list[UUID] | None = None) -> None:
        """Free all slots, or have exactly these task runs hold one each."""
        body = {"slot_override": None if slot_override is None else [str(each) for each in slot_override]}
        await self._request("POST", f"/concurrency_limits/tag/{path_part(tag)}/reset", body)

    async def delete_concurrency_limit_by_tag(self, tag: str) -> None:
        await self._delete(f"/concurrency_limits/tag/{path_part(tag)}")
