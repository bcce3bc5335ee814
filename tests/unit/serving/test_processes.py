"""Processes of flow runs: started from a warm parent, watched, ended, and found again. Commands stand in for runs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from sempre.sdk.serving.claim_folder import Claim, ClaimFolder
from sempre.sdk.serving.flow_run_process import FlowRunProcess, ProcessError, Processes, ProcessRequest
from sempre.sdk.serving.launcher import needs_own_interpreter
from tests.support.wait import eventually

ENDED_BY_SIGTERM = -signal.SIGTERM


def _folder(tmp_path: Path) -> ClaimFolder:
    folder = ClaimFolder(tmp_path / uuid4().hex)
    folder.note(Claim.of(uuid4()))
    return folder


def _request(tmp_path: Path, *command: str, **env: str) -> ProcessRequest:
    return ProcessRequest(
        flow_run_id=uuid4(),
        folder=_folder(tmp_path),
        env={**os.environ, **env},
        working_dir=tmp_path,
        command=command,
    )


def _python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_the_life_of_processes(tmp_path: Path) -> None:
    """In one go: the parent takes a second to get ready."""

    async def play() -> None:
        processes = Processes()
        seen = tmp_path / "seen"
        code = f"import os; open({str(seen)!r}, 'w').write(os.getcwd() + os.environ['MARK']); raise SystemExit(7)"
        first = await processes.start(_request(tmp_path, *_python(code), MARK="!"))
        assert await first.wait() == 7
        assert seen.read_text() == f"{tmp_path}!"

        # SIGTERM is enough for one, the other insists.
        obedient = await processes.start(_request(tmp_path, "sleep", "600"))
        await obedient.kill(10)
        assert await obedient.wait() == ENDED_BY_SIGTERM
        ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
        stubborn_code = f"{ignoring}; open('up', 'w'); time.sleep(600)"
        stubborn = await processes.start(_request(tmp_path, *_python(stubborn_code)))
        await asyncio.to_thread(eventually, (tmp_path / "up").exists, "the process is up")
        await stubborn.kill(0.05)
        assert await stubborn.wait() == -signal.SIGKILL

        # Who comes next finds it, with its exit code, although whoever started it is gone.
        left = await processes.start(_request(tmp_path, "sleep", "600"))
        await processes.close()
        found = FlowRunProcess.found(left.folder)
        assert found is not None
        assert found.pid == left.pid
        os.kill(found.pid, signal.SIGKILL)
        assert await found.wait() == -signal.SIGKILL

        # A claim that was given up is not executed any more.
        given_up = _request(tmp_path, *_python("open('never', 'w')"))
        assert FlowRunProcess.found(given_up.folder) is None
        late = await processes.start(given_up)
        assert await late.wait() in (0, None)
        assert not (tmp_path / "never").exists()
        await processes.close()

    asyncio.run(asyncio.wait_for(play(), 60))


def test_a_parent_that_dies_is_replaced(tmp_path: Path) -> None:
    async def play() -> None:
        processes = Processes()
        first = await processes.start(_request(tmp_path, "sleep", "600"))
        assert processes._parent is not None
        parent = processes._parent.pid
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)  # noqa: ASYNC222
        second = await processes.start(_request(tmp_path, "true"))
        assert await second.wait() == 0
        os.kill(first.pid, signal.SIGKILL)
        assert await first.wait() is None, "nobody is left who knows"
        await processes.close()

    asyncio.run(asyncio.wait_for(play(), 60))


def test_what_cannot_be_started_says_so(tmp_path: Path) -> None:
    async def play() -> None:
        processes = Processes()
        with pytest.raises(ProcessError, match="no command 'there-is-no-such-command'"):
            await processes.start(_request(tmp_path, "there-is-no-such-command"))
        nowhere = replace(_request(tmp_path, "true"), working_dir=tmp_path / "nowhere")
        with pytest.raises(ProcessError, match="no directory"):
            await processes.start(nowhere)
        assert processes._parent is None

    asyncio.run(play())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({"SEMPRE_API_URL": "x", "PYTHONPATH": "/more"}, False),
        ({"PYTHONHASHSEED": "1"}, True),
        ({"LD_PRELOAD": "x.so"}, True),
    ],
)
def test_some_variables_need_an_interpreter_of_their_own(change: dict[str, str], expected: bool) -> None:
    here = {"PATH": "/bin", "LANG": "C"}
    assert needs_own_interpreter({**here, **change}, here) is expected
    assert needs_own_interpreter({"PATH": "/bin"}, here), "LANG was taken away"
