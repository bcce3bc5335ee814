from __future__ import annotations

import pytest

from sempre.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from sempre.sdk.deploying.concurrency import limit_fields
from sempre.sdk.errors import ConfigurationError

CANCEL = {"concurrency_limit": 2, "concurrency_options": {"collision_strategy": "CANCEL_NEW"}}


def test_limits() -> None:
    assert limit_fields(None) == {"concurrency_limit": None, "concurrency_options": None}
    assert limit_fields(3) == {"concurrency_limit": 3, "concurrency_options": None}
    assert limit_fields({"limit": 2, "collision_strategy": "CANCEL_NEW"}) == CANCEL
    assert (
        limit_fields(ConcurrencyLimitConfig(limit=2, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)) == CANCEL
    )
    with pytest.raises(ConfigurationError):
        limit_fields(0)
    with pytest.raises(ConfigurationError):
        limit_fields({"collision_strategy": "ENQUEUE"})
