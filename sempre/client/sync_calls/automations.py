# Made from sempre/client/calls/automations.py by scripts/sync_client.py: change that file.
"""Automations."""

from __future__ import annotations

import contextlib
from typing import Any
from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, parsed, path_part, plain
from sempre.client.errors import ObjectNotFound
from sempre.client.sync_calls.base import SyncCalls

__all__ = ["SyncAutomationCalls"]


class SyncAutomationCalls(SyncCalls):
    def create_automation(self, automation: Given) -> UUID:
        """Create an automation from an `AutomationCreate`. Returns its id."""
        return parsed(models.Automation, self._created("/automations/", plain(automation))).id

    def update_automation(self, automation_id: UUID | str, automation: Given) -> None:
        """Replace an automation by an `AutomationUpdate`."""
        self._request("PUT", f"/automations/{path_part(automation_id)}", plain(automation))

    def read_automation(self, automation_id: UUID | str) -> models.Automation | None:
        """The automation; None if there is none of this id."""
        try:
            return self._one(models.Automation, "GET", f"/automations/{path_part(automation_id)}")
        except ObjectNotFound:
            return None

    def read_automations(
        self,
        automation_filter: Given | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[models.Automation]:
        body = body_of(filters(automations=automation_filter), sort=sort, limit=limit, offset=offset)
        return self._many(models.Automation, "POST", "/automations/filter", body)

    def read_automations_by_name(self, name: str) -> list[models.Automation]:
        return self.read_automations({"name": {"any_": [name]}})

    def find_automation(self, id_or_name: Any) -> models.Automation | None:
        """The automation of this id, or else the first of this name; None if there is none."""
        try:
            found = self.read_automation(UUID(str(id_or_name)))
        except ValueError:
            found = None
        if found is None:
            named = self.read_automations_by_name(str(id_or_name))
            found = named[0] if named else None
        return found

    def pause_automation(self, automation_id: UUID | str) -> None:
        self._request("PATCH", f"/automations/{path_part(automation_id)}", {"enabled": False})

    def resume_automation(self, automation_id: UUID | str) -> None:
        self._request("PATCH", f"/automations/{path_part(automation_id)}", {"enabled": True})

    def delete_automation(self, automation_id: UUID | str) -> None:
        self._delete(f"/automations/{path_part(automation_id)}")

    def read_resource_related_automations(self, resource_id: str) -> list[models.Automation]:
        return self._many(models.Automation, "GET", f"/automations/related-to/{path_part(resource_id)}")

    def delete_resource_owned_automations(self, resource_id: str) -> None:
        """Delete the automations that go with a resource; none is fine."""
        with contextlib.suppress(ObjectNotFound):
            self._request("DELETE", f"/automations/owned-by/{path_part(resource_id)}")
