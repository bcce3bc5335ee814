"""Scripts against a real server: what a user writes first."""

from __future__ import annotations

from tests.integration.sdk.conftest import Scripts

HELLO = """
from sempre import flow, get_run_logger, task


@task(retries=2, retry_delay_seconds=0.1)
def flaky(seen=[]):
    seen.append(1)
    if len(seen) < 3:
        raise ValueError(f"attempt {len(seen)}")
    return len(seen)


@task
def inc(x):
    return x + 1


@flow(log_prints=True)
def hello(name: str = "world", n: int = 5):
    print(f"hello {name}")
    futures = inc.map(range(n))
    total = inc.submit(futures[0])
    get_run_logger().warning("nearly done")
    return flaky() + sum(futures.result()) + total.result()


if __name__ == "__main__":
    print("VALUE", hello("Ada", n="20"))
"""


def test_a_flow_with_retried_and_mapped_tasks(scripts: Scripts) -> None:
    output = scripts.run(scripts.write("hello", HELLO))
    assert "VALUE 215" in output
    assert scripts.flow_history("hello") == ["Pending", "Running", "Completed"]
    run = scripts.flow_run("hello")
    assert run["parameters"] == {"name": "Ada", "n": "20"}, "as given; the flow got them converted"
    tasks = scripts.task_runs("hello", lambda found: [r["state_name"] for r in found] == ["Completed"] * 22)
    (flaky,) = [each for each in tasks if each["name"].startswith("flaky")]
    assert scripts.task_history(flaky) == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "Retrying",
        "AwaitingRetry",
        "Retrying",
        "Completed",
    ]
    assert flaky["run_count"] == 3
    assert flaky["empirical_policy"]["retries"] == 2
    (after,) = [each for each in tasks if each["task_inputs"].get("x")]
    assert after["task_inputs"]["x"][0]["input_type"] == "task_run"
    logs = scripts.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "sort": "TIMESTAMP_ASC"})
    messages = [line["message"] for line in logs]
    assert "hello Ada" in messages
    assert "nearly done" in messages
    assert sum(line["task_run_id"] is not None for line in logs) >= 22
