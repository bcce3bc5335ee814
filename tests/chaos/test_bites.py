"""Each fault bites: with one defence of the server switched off, the auditor finds what that defence is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.bites import BITES, CONTROL, Bite, run
from tests.chaos.plan import SHORT, in_full_form, say
from tests.conftest import _migrated
from tests.support.database import Database, Postgres

pytestmark = pytest.mark.chaos

_IN_SHORT = {"the unique key of schedule slots"}  # the quickest


@pytest.fixture
def fresh(postgres: Postgres, tmp_path: Path) -> Iterator[Database]:
    database = _migrated(postgres, tmp_path / "migration-home")
    yield database
    postgres.drop(database)


@pytest.mark.parametrize("bite", BITES, ids=lambda bite: bite.defence)
def test_without_its_defence_a_storm_does_harm(bite: Bite, fresh: Database, tmp_path: Path) -> None:
    if SHORT and bite.defence not in _IN_SHORT:
        pytest.skip("in the full form")
    report = run(bite, tmp_path, fresh)
    found = {offence.check: offence.count for offence in report.offences}
    say(f"without {bite.defence}: {found}")
    assert report.broken & bite.expected, f"found only {found}"


@in_full_form
def test_with_all_its_defences_it_does_none(fresh: Database, tmp_path: Path) -> None:
    run(CONTROL, tmp_path, fresh).assert_clean()
