"""The events of block types and documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from sempre.core.secret_fields import is_secret
from sempre.server.events.emit import ServerEvent, named, resource

__all__ = ["document_changed", "type_changed"]

_TYPE_FIELDS = ("name", "slug", "logo_url", "documentation_url", "description", "code_example", "is_protected")


def type_changed(change: str, block_type: Mapping[str, Any]) -> ServerEvent:
    """``created``, ``updated`` or ``deleted``."""
    return ServerEvent(
        event=f"prefect.block-type.{change}",
        resource=resource("block-type", block_type["id"], block_type["name"]),
        payload={name: block_type[name] for name in _TYPE_FIELDS},
    )


def document_changed(
    change: str,
    document: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    secret_fields: Sequence[str],
    capabilities: Sequence[str],
) -> ServerEvent:
    """``document`` has the columns of its row and ``type_name``; ``data`` is what it holds itself, in clear.

    Of the data only texts are told, and only those in whose key nothing is secret.
    """
    shown = {key: value for key, value in data.items() if isinstance(value, str) and not is_secret(key, secret_fields)}
    return ServerEvent(
        event=f"prefect.block-document.{change}",
        resource=resource("block-document", document["id"], None if document["is_anonymous"] else document["name"]),
        related=[
            named("block-type", "block-type", document["block_type_id"], document["type_name"]),
            named("block-schema", "block-schema", document["block_schema_id"]),
        ],
        payload={
            "name": document["name"],
            "data": shown,
            "block_schema": {
                "capabilities": capabilities,
                "block_type": {"id": document["block_type_id"], "name": document["type_name"]},
            },
        },
    )
