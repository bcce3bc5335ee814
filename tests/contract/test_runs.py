"""Fuzzing of the operations around runs (see test_things.py for the others)."""

from __future__ import annotations

import pytest

from tests.contract.fuzz import Fuzzer
from tests.contract.operations import RUNS, declared, in_order

OPERATIONS = in_order(key for key in declared() if key.split("/")[1] in RUNS)


@pytest.mark.parametrize("key", OPERATIONS)
def test_any_request_is_answered_as_the_document_says(fuzzer: Fuzzer, key: str) -> None:
    faults = fuzzer.run(key)
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:3])
