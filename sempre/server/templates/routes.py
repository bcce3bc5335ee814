"""``/templates/validate``: whether a template may be stored."""

from typing import Annotated

from fastapi import Body
from starlette.responses import Response

from sempre.core.templates import validate_template
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room

__all__ = ["router"]

router = Room(tags=["Automations"])


@router.post("/automations/templates/validate", status_code=204)
@router.post("/templates/validate", status_code=204)
async def validate(template: Annotated[str | None, Body()] = "") -> Response:
    """Check the syntax and the loops of a template, which is the body itself, a JSON string."""
    problem = validate_template(template or "")
    if problem is None:
        return no_content()
    return JSON({"error": {"line": problem.line, "message": problem.message, "source": problem.source}}, 422)
