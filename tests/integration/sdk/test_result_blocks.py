"""Results kept where a block of the server says, read again by another process."""

from __future__ import annotations

import json

from tests.integration.sdk.conftest import Scripts

KEEPS = """
import sys

from sempre import flow, task
from sempre.filesystems import LocalFileSystem


@task(result_storage="local-file-system/kept")
def kept(x):
    return {"x": x}


@flow(result_storage=LocalFileSystem.load("kept") if sys.argv[1] == "again" else None, persist_result=True)
def keeps():
    return kept(1)


if __name__ == "__main__":
    if sys.argv[1] == "first":
        LocalFileSystem(basepath="here").save("kept")
    print("VALUE", keeps())
"""

READS = """
import json
import sys

from sempre.sdk.api import state_of

print("READ", state_of(json.loads(sys.argv[1])).result())
"""


def test_results_in_a_block(scripts: Scripts) -> None:
    script = scripts.write("keeps", KEEPS)
    assert "VALUE {'x': 1}" in scripts.run(script, "first")
    assert "VALUE {'x': 1}" in scripts.run(script, "again")
    found = scripts.task_runs("keeps", lambda found: [run["state_type"] for run in found] == ["COMPLETED"] * 2)
    state = scripts.get(f"/task_runs/{found[0]['id']}")["state"]
    assert state["data"]["storage"] is None
    assert state["data"]["storage_block_id"], "the block is named, and nothing of what is in it"
    assert "READ {'x': 1}" in scripts.run(scripts.write("reads", READS), json.dumps(state))
    assert len(list((scripts.folder / "here").iterdir())) == 3, "two of the task, one of the flow"


NONE = """
from sempre import flow


@flow(result_storage="local-file-system/nobody")
def none():
    return 1


none()
"""


def test_a_block_that_there_is_not(scripts: Scripts) -> None:
    output = scripts.run(scripts.write("none", NONE), code=1)
    assert "There is no block local-file-system/nobody" in output
