"""The client of the API: calls, live streams, and deliveries that outlast an outage.

Nothing is loaded before it is asked for: flow runs use parts of this package, and a short one none of the models.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sempre.client.client import Client as Client
    from sempre.client.client import SyncClient as SyncClient
    from sempre.client.client import get_client as get_client
    from sempre.client.errors import ApiRefused as ApiRefused
    from sempre.client.errors import ApiUnreachable as ApiUnreachable
    from sempre.client.errors import ClientError as ClientError
    from sempre.client.errors import LocalServerError as LocalServerError
    from sempre.client.errors import NotAllowed as NotAllowed
    from sempre.client.errors import ObjectAlreadyExists as ObjectAlreadyExists
    from sempre.client.errors import ObjectLimitReached as ObjectLimitReached
    from sempre.client.errors import ObjectNotFound as ObjectNotFound
    from sempre.client.errors import Unauthorized as Unauthorized

__all__ = [
    "ApiRefused",
    "ApiUnreachable",
    "Client",
    "ClientError",
    "LocalServerError",
    "NotAllowed",
    "ObjectAlreadyExists",
    "ObjectLimitReached",
    "ObjectNotFound",
    "SyncClient",
    "Unauthorized",
    "get_client",
]
_CLIENT = frozenset({"Client", "SyncClient", "get_client"})


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'sempre.client' has no attribute {name!r}")
    found = getattr(import_module(f"sempre.client.{'client' if name in _CLIENT else 'errors'}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
