"""What there is beside flows and tasks."""

from __future__ import annotations

from typing import Any, assert_type
from uuid import UUID

from sempre import flow, pause_flow_run, runtime, task
from sempre.artifacts import Artifact, create_markdown_artifact, create_table_artifact
from sempre.blocks.core import Block
from sempre.blocks.system import Secret
from sempre.concurrency.sync import concurrency, rate_limit
from sempre.deployments import run_deployment
from sempre.events import emit_event
from sempre.exceptions import FailedRun, ObjectNotFound
from sempre.input import RunInput
from sempre.states import State
from sempre.task_worker import serve
from sempre.transactions import Transaction, transaction
from sempre.variables import Variable


class Approval(RunInput):
    approved: bool
    comment: str = ""


class Warehouse(Block):
    url: str
    size: int = 1


@task(persist_result=True)
def write(path: str) -> str:
    return path


@write.on_rollback
def remove(txn: Transaction) -> None:
    print(txn.get("path", default=""))


@flow
def steps(path: str) -> str:
    with transaction(key="steps") as txn:
        txn.set("path", path)
        written = write(path)
    assert_type(written, str)
    if txn.is_committed():
        print(written)
    with concurrency(["database", "disk"], occupy=2, strict=True):
        rate_limit("api", occupy=1)
    assert_type(create_markdown_artifact("# Done", key="done"), UUID)
    create_table_artifact([{"a": 1}], key="rows", description="Rows")
    found = Artifact.get("done")
    if found is not None:
        print(found.data)
    emit_event("steps.done", resource={"prefect.resource.id": "steps.1"}, payload={"path": path})
    answer = pause_flow_run(wait_for_input=Approval, timeout=60)
    if answer.approved:
        print(runtime.flow_run.id, runtime.flow_run.parameters["path"], runtime.task_run.run_count)
    return written


@steps.on_failure
def tell(flow: Any, run: Any, state: State[Any]) -> None:
    print(f"{run.name} {state.message}")


def main() -> None:
    Variable.set("colour", {"name": "blue"}, overwrite=True)
    print(Variable.get("colour", default=None))
    Secret(value="hush").save("mine", overwrite=True)
    print(Secret.load("mine").get())
    Warehouse(url="postgresql://db").save("main")
    warehouse = Warehouse.load("main")
    assert_type(warehouse, Warehouse)
    assert_type(warehouse.size, int)
    future = write.delay("a")
    assert_type(future.result(timeout=5), str)
    try:
        run = run_deployment("steps/nightly", parameters={"path": "x"}, timeout=0)
        print(run.state)
    except (ObjectNotFound, FailedRun) as error:
        print(error)
    serve(write, limit=4)
