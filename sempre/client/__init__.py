"""The client of the API: calls, live streams, and deliveries that outlast an outage."""

from sempre.client.client import Client, SyncClient, get_client
from sempre.client.errors import (
    ApiRefused,
    ApiUnreachable,
    ClientError,
    LocalServerError,
    NotAllowed,
    ObjectAlreadyExists,
    ObjectLimitReached,
    ObjectNotFound,
    Unauthorized,
)

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
