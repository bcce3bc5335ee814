"""A DSN of several hosts, taken apart."""

from __future__ import annotations

import pytest

from sempre.db.hosts import split


@pytest.mark.parametrize(
    ("dsn", "hosts"),
    [
        ("postgresql://u:p@a/n", ["postgresql://u:p@a/n"]),
        ("postgresql://u:p%40@a:1,b:2/n?x=y", ["postgresql://u:p%40@a:1/n?x=y", "postgresql://u:p%40@b:2/n?x=y"]),
        ("postgresql://a,[::1]:2/n", ["postgresql://a/n", "postgresql://[::1]:2/n"]),
        (
            "postgresql://u@/n?host=/run/a,/run/b&port=1,2&target_session_attrs=read-write",
            [
                "postgresql://u@/n?host=/run/a&port=1&target_session_attrs=read-write",
                "postgresql://u@/n?host=/run/b&port=2&target_session_attrs=read-write",
            ],
        ),
        ("postgresql:///n?host=a,b", ["postgresql:///n?host=a", "postgresql:///n?host=b"]),
        # The driver weighs these hosts against each other.
        ("postgresql://a,b/n?target_session_attrs=prefer-standby", ["postgresql://a,b/n?target_session_attrs=prefer-standby"]),
    ],
)  # fmt: skip
def test_each_host_has_its_own(dsn: str, hosts: list[str]) -> None:
    assert split(dsn) == hosts
