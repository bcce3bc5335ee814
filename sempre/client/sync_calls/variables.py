# Made from sempre/client/calls/variables.py by scripts/sync_client.py: change that file.
"""Variables."""

from __future__ import annotations

from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, path_part, plain
from sempre.client.errors import ObjectAlreadyExists, ObjectNotFound
from sempre.client.sync_calls.base import SyncCalls

__all__ = ["SyncVariableCalls"]


class SyncVariableCalls(SyncCalls):
    def create_variable(self, variable: Given) -> models.Variable:
        """Create a variable from a `VariableCreate`. ObjectAlreadyExists if there is one of this name."""
        body = plain(variable)
        try:
            return self._one(models.Variable, "POST", "/variables/", body)
        except ObjectAlreadyExists as error:
            found = self.read_variable_by_name(body["name"]) if error.repeated else None
            if found is None:
                raise
            return found

    def read_variable(self, id: UUID | str) -> models.Variable:
        return self._one(models.Variable, "GET", f"/variables/{path_part(id)}")

    def read_variable_by_name(self, name: str) -> models.Variable | None:
        """The variable; None if there is none of this name."""
        try:
            return self._one(models.Variable, "GET", f"/variables/name/{path_part(name)}")
        except ObjectNotFound:
            return None

    def read_variables(
        self,
        limit: int | None = None,
        variable_filter: Given | None = None,
        offset: int = 0,
        sort: str | None = None,
    ) -> list[models.Variable]:
        body = body_of(filters(variables=variable_filter), limit=limit, offset=offset, sort=sort)
        return self._many(models.Variable, "POST", "/variables/filter", body)

    def update_variable(self, variable: Given, name: str | None = None) -> None:
        """Change the variable called `name`, or the one that `variable` names, to what is given."""
        body = plain(variable)
        self._request("PATCH", f"/variables/name/{path_part(name or body['name'])}", body)

    def delete_variable_by_name(self, name: str) -> None:
        self._delete(f"/variables/name/{path_part(name)}")
