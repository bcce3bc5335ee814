"""Results and code in a bucket, used by processes that know nothing of each other (make storages)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.sdk.conftest import Scripts
from tests.support.object_stores import S3

pytestmark = pytest.mark.storages

KEEPS = """
import json
import sys

from sempre import flow, task
from sempre.cache_policies import INPUTS
from sempre.filesystems import RemoteFileSystem


@task(cache_policy=INPUTS, result_storage="remote-file-system/in-bucket", result_serializer="compressed/pickle")
def kept(x):
    print("WORKING")
    return {"x": x}


@flow
def keeps_in_bucket():
    return kept(1)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        RemoteFileSystem(basepath="s3://bucket/results", settings=json.loads(sys.argv[1])).save("in-bucket")
    print("VALUE", keeps_in_bucket())
"""

READS = """
import json
import sys

from sempre.sdk.api import state_of

print("READ", state_of(json.loads(sys.argv[1])).result())
"""

BUCKET_FLOW = """
from helper import VALUE

from sempre import flow


@flow
def from_bucket():
    return VALUE
"""

DEPLOYS = """
import json
import sys

from sempre import flow
from sempre.blocks.system import Secret
from sempre.runner.storage import RemoteStorage

options = json.loads(sys.argv[1])
Secret(value=options["secret"]).save("bucket-secret")
Secret(value=options["key"]).save("bucket-key")
storage = RemoteStorage(
    "s3://bucket/code",
    key=Secret.load("bucket-key"),
    secret=Secret.load("bucket-secret"),
    client_kwargs=options["client_kwargs"],
)
flow.from_source(storage, "flows/main.py:from_bucket").deploy("there", work_pool_name="bucket-pool")
"""


@pytest.fixture
def store() -> Iterator[S3]:
    with S3() as started:
        yield started


def test_results_of_a_block_in_a_bucket(scripts: Scripts, store: S3) -> None:
    script = scripts.write("keeps", KEEPS)
    options = json.dumps(store.options())
    first = scripts.run(script, options)
    assert "WORKING" in first
    assert "VALUE {'x': 1}" in first
    again = scripts.run(script)
    assert "WORKING" not in again
    assert "VALUE {'x': 1}" in again
    found = scripts.task_runs(
        "keeps-in-bucket", lambda found: [run["state_type"] for run in found] == ["COMPLETED"] * 2
    )
    assert [run["state_name"] for run in found] == ["Cached", "Completed"]
    state = scripts.get(f"/task_runs/{found[0]['id']}")["state"]
    assert store.secret not in json.dumps(state), "the block is named, and nothing of what is in it"
    assert "READ {'x': 1}" in scripts.run(scripts.write("reads", READS), json.dumps(state))
    (key,) = store.buckets["bucket"]
    assert key.startswith("results/")


def test_a_deployment_whose_code_is_in_a_bucket(scripts: Scripts, store: S3, tmp_path: Path) -> None:
    scripts.post("/work_pools/", {"name": "bucket-pool", "type": "process"})
    store.buckets["bucket"] = {
        "code/": b"",
        "code/flows/main.py": BUCKET_FLOW.encode(),
        "code/flows/helper.py": b"VALUE = 'from the bucket'",
    }
    scripts.run(scripts.write("deploys", DEPLOYS), json.dumps(store.options()))
    made = scripts.get("/deployments/name/from-bucket/there")
    assert store.secret not in json.dumps(made)
    assert store.key not in json.dumps(made)
    run = scripts.post(f"/deployments/{made['id']}/create_flow_run", {})
    (tmp_path / "worker").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "sempre.sdk.execute", run["id"]],
        env=scripts.environment, cwd=tmp_path / "worker", capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert scripts.flow_history("from-bucket")[-1] == "Completed"
