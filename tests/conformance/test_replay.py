"""Recorded traffic of real clients against the target, trace by trace in recorded order on one database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance import traces
from tests.conformance.replay import Replayer
from tests.support.servers import Target

AVAILABLE = traces.directory().is_dir()
NAMES = [name for name in traces.names() if name not in traces.NOT_REPLAYABLE] if AVAILABLE else []


@pytest.fixture(scope="module")
def replayer(target: Target) -> Iterator[Replayer]:
    player = Replayer(target.api_url)
    yield player
    player.close()


@pytest.mark.skipif(not AVAILABLE, reason="no recorded traces (set SEMPRE_TRACES to their directory)")
@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_the_recording(replayer: Replayer, name: str) -> None:
    report = replayer.replay_with_setup(name)
    assert report.sent
    assert not report.mismatches, "\n".join(map(str, report.mismatches[:40]))
