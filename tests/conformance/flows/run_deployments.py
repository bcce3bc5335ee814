"""run_deployment in its forms: waiting, not waiting, with an idempotency key, as a subflow."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

from typing import Any

from prefect import flow
from prefect.deployments import run_deployment
from report import scenario  # type: ignore[import-not-found, unused-ignore]

TARGET = "quick/quick-dep"


def waiting() -> dict[str, Any]:
    run = run_deployment(TARGET, parameters={"x": 5}, timeout=90, poll_interval=1, as_subflow=False)
    return {"flow_run_id": run.id, "state": run.state.name}


def idempotent() -> dict[str, Any]:
    runs = [run_deployment(TARGET, timeout=0, idempotency_key="conformance-once", as_subflow=False) for _ in range(2)]
    return {"first": runs[0].id, "second": runs[1].id}


@flow(name="caller")
def caller() -> str:
    run = run_deployment(TARGET, parameters={"x": 9}, timeout=90, poll_interval=1)
    return str(run.id)


def as_subflow() -> dict[str, Any]:
    state = caller(return_state=True)
    return {"flow_run_id": state.state_details.flow_run_id, "child": state.result(), "state": state.name}


if __name__ == "__main__":
    scenario("idempotent", idempotent)
    scenario("waiting", waiting)
    scenario("as_subflow", as_subflow)
