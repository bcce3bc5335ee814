"""Scripts that serve deployments: real processes, stopped as people stop them."""

from __future__ import annotations

import signal

from tests.integration.sdk.conftest import Scripts
from tests.support.wait import eventually

SERVE = """
from sempre import flow, serve


@flow
def served_one(x: int = 1):
    return x


@flow
def served_two():
    pass


if __name__ == "__main__":
    serve(
        served_one.to_deployment("here", interval=3600, parameters={"x": 7}),
        served_two.to_deployment("there", cron="0 3 * * *"),
        limit=2,
    )
"""


def test_serving_until_ctrl_c(scripts: Scripts) -> None:
    path = scripts.write("serving", SERVE)
    process = scripts.start(path)
    try:

        def deployments() -> dict[str, str] | None:
            found = scripts.post("/deployments/filter", {"deployments": {"name": {"any_": ["here", "there"]}}})
            return {each["name"]: each["id"] for each in found} if len(found) == 2 else None

        ids = eventually(deployments, "both are known")
        run = scripts.post(f"/deployments/{ids['here']}/create_flow_run", {})
        eventually(
            lambda: scripts.get(f"/flow_runs/{run['id']}")["state_name"] == "Completed", "the run completes", timeout=60
        )
        assert scripts.get(f"/flow_runs/{run['id']}")["parameters"] == {"x": 7}
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "Serving served-one/here, served-two/there" in output
    for id in ids.values():
        assert scripts.get(f"/deployments/{id}")["paused"]


LONE = """
from sempre import flow


@flow
def lone():
    pass


if __name__ == "__main__":
    lone.serve(pause_on_shutdown=False, print_starting_message=False)
"""


def test_serving_again_wakes_what_was_paused(scripts: Scripts) -> None:
    flow_id = scripts.post("/flows/", {"name": "lone"})["id"]
    made = scripts.post("/deployments/", {"name": "lone", "flow_id": flow_id, "paused": True})
    process = scripts.start(scripts.write("lone", LONE))
    try:
        eventually(lambda: not scripts.get(f"/deployments/{made['id']}")["paused"], "it is awake")
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    after = scripts.get(f"/deployments/{made['id']}")
    assert (after["entrypoint"], after["path"], after["paused"]) == ("lone.py:lone", ".", False)
