"""Secrets in what is deployed: used in clear here, and by reference in everything that is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sempre.sdk.errors import ConfigurationError

__all__ = ["by_reference", "in_clear"]

_REVEALING = frozenset({
    "access_token", "token", "password", "secret", "key", "client_secret", "secret_key", "private_key",
    "aws_secret_access_key", "aws_session_token", "account_key", "connection_string", "sas_token",
})  # fmt: skip


def in_clear(value: Any) -> Any:
    """The value with blocks and secrets replaced by what they hold."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {name: in_clear(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [in_clear(each) for each in value]
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    fields = getattr(type(value), "model_fields", None)
    if fields is None:
        return value
    if set(fields) == {"value"}:  # a Secret
        return in_clear(value.value)
    return {name: in_clear(getattr(value, name)) for name in fields}


def by_reference(value: Any, name: str = "") -> Any:
    """The value with blocks replaced by placeholders that are resolved where it is used.

    Raises ConfigurationError for a secret that is in no block, or in one that was not saved.
    """
    if isinstance(value, Mapping):
        return {each: by_reference(inner, each) for each, inner in value.items()}
    if isinstance(value, list | tuple):
        return [by_reference(each, name) for each in value]
    if hasattr(value, "_block_document_name"):
        if value._block_document_name is None:
            raise ConfigurationError(
                f"The {type(value).__name__} block in {name or 'the credentials'!r} has to be saved, so that workers "
                "can load it: block.save('a-name')."
            )
        return f"{{{{ sempre.blocks.{value.get_block_type_slug()}.{value._block_document_name} }}}}"
    is_secret = hasattr(value, "get_secret_value")
    if is_secret or (name in _REVEALING and isinstance(value, str) and not value.lstrip().startswith("{{")):
        raise ConfigurationError(
            f"{name or 'A secret'} would be stored with the deployment for everybody to read. Keep it in a Secret "
            "block: Secret(value=...).save('a-name'), and give Secret.load('a-name')."
        )
    return value
