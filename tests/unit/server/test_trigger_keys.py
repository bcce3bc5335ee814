"""The hash under which a key of labels is filed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sempre.server.triggers.counters import hash_of

_keys = st.lists(st.text(max_size=4), max_size=3).map(tuple)


@given(_keys, _keys)
def test_only_equal_keys_share_a_hash(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (hash_of(one) == hash_of(other)) == (one == other)


def test_keys_do_not_run_together() -> None:
    keys = [(), ("",), ("", ""), ("ab",), ("a", "b"), ("1:a",), ("a:1", ""), ("a" * 100_000,), ("\ud800",)]
    assert len({hash_of(key) for key in keys}) == len(keys)
