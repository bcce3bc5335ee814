"""Automations."""

from __future__ import annotations

import contextlib
from typing import Any
from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, parsed, path_part, plain
from sempre.client.calls.base import Calls
from sempre.client.errors import ObjectNotFound

__all__ = ["AutomationCalls"]


class AutomationCalls(Calls):
    async def create_automation(self, automation: Given) -> UUID:
        """Create an automation from an `AutomationCreate`. Returns its id."""
        return parsed(models.Automation, await self._created("/automations/", plain(automation))).id

    async def update_automation(self, automation_id: UUID | str, automation: Given) -> None:
        """Replace an automation by an `AutomationUpdate`."""
        await self._request("PUT", f"/automations/{path_part(automation_id)}", plain(automation))

    async def read_automation(self, automation_id: UUID | str) -> models.Automation | None:
        """The automation; None if there is none of this id."""
        try:
            return await self._one(models.Automation, "GET", f"/automations/{path_part(automation_id)}")
        except ObjectNotFound:
            return None

    async def read_automations(
        self,
        automation_filter: Given | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[models.Automation]:
        body = body_of(filters(automations=automation_filter), sort=sort, limit=limit, offset=offset)
        return await self._many(models.Automation, "POST", "/automations/filter", body)

    async def read_automations_by_name(self, name: str) -> list[models.Automation]:
        return await self.read_automations({"name": {"any_": [name]}})

    async def find_automation(self, id_or_name: Any) -> models.Automation | None:
        """The automation of this id, or else the first of this name; None if there is none."""
        try:
            found = await self.read_automation(UUID(str(id_or_name)))
        except ValueError:
            found = None
        if found is None:
            named = await self.read_automations_by_name(str(id_or_name))
            found = named[0] if named else None
        return found

    async def pause_automation(self, automation_id: UUID | str) -> None:
        await self._request("PATCH", f"/automations/{path_part(automation_id)}", {"enabled": False})

    async def resume_automation(self, automation_id: UUID | str) -> None:
        await self._request("PATCH", f"/automations/{path_part(automation_id)}", {"enabled": True})

    async def delete_automation(self, automation_id: UUID | str) -> None:
        await self._delete(f"/automations/{path_part(automation_id)}")

    async def read_resource_related_automations(self, resource_id: str) -> list[models.Automation]:
        return await self._many(models.Automation, "GET", f"/automations/related-to/{path_part(resource_id)}")

    async def delete_resource_owned_automations(self, resource_id: str) -> None:
        """Delete the automations that go with a resource; none is fine."""
        with contextlib.suppress(ObjectNotFound):
            await self._request("DELETE", f"/automations/owned-by/{path_part(resource_id)}")
