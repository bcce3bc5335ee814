"""Scopes of two replicas on one database."""

from __future__ import annotations

from tests.integration.services.conftest import replica, scope
from tests.support.redis_server import redis_server

__all__ = ["redis_server", "replica", "scope"]
