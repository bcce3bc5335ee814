"""Fuzzing of the operations on everything but runs (see test_runs.py)."""

from __future__ import annotations

import pytest

from tests.contract.fuzz import Fuzzer
from tests.contract.operations import RUNS, declared, in_order

OPERATIONS = in_order(key for key in declared() if key.split("/")[1] not in RUNS)


@pytest.mark.parametrize("key", OPERATIONS)
def test_any_request_is_answered_as_the_document_says(fuzzer: Fuzzer, key: str) -> None:
    faults = fuzzer.run(key)
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:3])


def test_every_operation_is_fuzzed(fuzzer: Fuzzer) -> None:
    assert sorted(declared()) == sorted(fuzzer.operations)
    assert len(declared()) >= 187
