"""The process worker against a real server: runs start at once, and are neither lost nor run twice, whatever dies."""

from __future__ import annotations

import os
import signal
from datetime import datetime

import httpx
import pytest

from tests.integration.workers.conftest import Stage, noted
from tests.support.net import free_port
from tests.support.servers import SempreServer
from tests.support.wait import eventually


def test_runs_start_when_the_server_tells_of_them(stage: Stage) -> None:
    port = free_port()
    worker = stage.start("--with-healthcheck", SEMPRE_WORKER_WEBSERVER_PORT=str(port))
    assert httpx.get(f"http://127.0.0.1:{port}/health", timeout=10).status_code == 200
    warm, _ = stage.ask("quick")
    stage.ended(warm, "COMPLETED")

    run_id, seen = stage.ask("quick", **{"env.MARK": "x", "env": {"SEMPRE_FLOWS_HEARTBEAT_FREQUENCY": "45"}})
    run = stage.ended(run_id, "COMPLETED")
    states = stage.runs.states(run_id)
    assert [state["name"] for state in states] == ["Scheduled", "Pending", "Submitting", "Running", "Completed"]
    times = {state["name"]: datetime.fromisoformat(state["timestamp"]) for state in states}
    took = (times["Running"] - times["Scheduled"]).total_seconds()
    print(f"from created to Running: {took:.3f} s")
    assert took < 60, "the next look would have come after ten minutes"
    (pid,) = noted(seen)
    assert run["infrastructure_pid"].endswith(f":{pid}")

    def labelled() -> dict[str, str] | None:
        found: dict[str, str] = stage.runs.flow_run(run_id)["labels"]
        return found if "prefect.worker.name" in found else None

    labels = eventually(labelled, "labels of the worker")
    assert labels["prefect.worker.type"] == "process"
    assert labels["prefect.work-pool.name"] == stage.pool

    crashed, _ = stage.ask("dying")
    message = stage.ended(crashed, "CRASHED")["state"]["message"]
    assert message == "Flow run infrastructure exited with non-zero status code 3."
    missing, _ = stage.ask("quick", command="there-is-no-such-command")
    message = stage.ended(missing, "CRASHED")["state"]["message"]
    assert message.startswith("Failed to submit flow run to infrastructure: There is no command")

    cancelled, seen = stage.ask("waiting")
    stage.began(seen)
    stage.runs.post(f"/flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING"}})
    stage.ended(cancelled, "CANCELLED")
    told = stage.told_cancelled(cancelled)
    assert told["resource"]["prefect.resource.id"] == "prefect.runner.standalone"
    named = {part["prefect.resource.role"]: part["prefect.resource.name"] for part in told["related"]}
    assert named == {
        "deployment": f"waiting-{stage.pool}", "flow": "waiting", "flow-run": stage.runs.flow_run(cancelled)["name"],
    }  # fmt: skip

    os.kill(worker.popen.pid, signal.SIGTERM)
    assert worker.popen.wait(30) == 0, worker.tail()


def test_a_worker_that_stops_lets_its_runs_finish(stage: Stage) -> None:
    worker = stage.start("--limit", "1")
    first, seen_first = stage.ask("waiting")
    second, seen_second = stage.ask("waiting")
    stage.began(seen_first)
    seen_first.with_suffix(".go").touch()
    stage.ended(first, "COMPLETED")
    stage.began(seen_second)
    states = {state["name"]: state["timestamp"] for state in stage.runs.states(second)}
    ended = {state["name"]: state["timestamp"] for state in stage.runs.states(first)}
    assert states["Pending"] > ended["Completed"], "one at a time"

    os.kill(worker.popen.pid, signal.SIGTERM)
    worker.wait_for(lambda: "takes no more runs" in worker.log.read_text(), "has heard the signal")
    left, _ = stage.ask("quick")
    seen_second.with_suffix(".go").touch()
    stage.ended(second, "COMPLETED")
    assert worker.popen.wait(30) == 0, worker.tail()
    assert stage.runs.history(left) == ["Scheduled"]


def test_the_second_signal_kills(stage: Stage) -> None:
    worker = stage.start()
    run_id, seen = stage.ask("waiting")
    pid = stage.began(seen)
    os.kill(worker.popen.pid, signal.SIGTERM)
    worker.wait_for(lambda: "takes no more runs" in worker.log.read_text(), "has heard the signal")

    # What comes within half a second counts as the same request, as service managers send it.
    def asked_again() -> bool:
        if worker.popen.poll() is None:
            os.kill(worker.popen.pid, signal.SIGTERM)
        return worker.popen.poll() is not None

    eventually(asked_again, "it ends", 60, 0.6)
    assert worker.popen.returncode == 0, worker.tail()
    assert stage.ended(run_id, "CRASHED")["state"]["message"].startswith("Flow run infrastructure exited")
    assert not os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize("moment", ["claimed", "starting", "started"])
def test_a_run_whose_worker_is_killed_runs_once(stage: Stage, moment: str) -> None:
    failing = stage.start_failing(moment)
    run_id, seen = stage.ask("quick")
    assert failing.popen.wait(60) == -signal.SIGKILL, failing.tail()
    stage.start()
    stage.ended(run_id, "COMPLETED")
    assert len(noted(seen)) == 1
    history = stage.runs.history(run_id)
    handed_back = moment != "started"
    assert history.count("Scheduled") == (2 if handed_back else 1), history
    assert history.count("Running") == 1


def test_a_restarted_worker_goes_on_with_what_runs(stage: Stage) -> None:
    worker = stage.start()
    surviving, seen_surviving = stage.ask("waiting")
    dying, seen_dying = stage.ask("waiting")
    ended, seen_ended = stage.ask("waiting")
    stage.began(seen_surviving)
    pid, ended_pid = stage.began(seen_dying), stage.began(seen_ended)
    os.kill(worker.popen.pid, signal.SIGKILL)
    worker.popen.wait()
    os.kill(ended_pid, signal.SIGKILL)  # nobody watches it, and yet its end is known

    again = stage.start("--limit", "3")
    message = stage.ended(ended, "CRASHED")["state"]["message"]
    assert "status code -9" in message
    again.wait_for(lambda: again.log.read_text().count("goes on in") == 3, "all three are adopted")
    os.kill(pid, signal.SIGKILL)
    assert "status code -9" in stage.ended(dying, "CRASHED")["state"]["message"]
    seen_surviving.with_suffix(".go").touch()
    stage.ended(surviving, "COMPLETED")
    assert len(noted(seen_surviving)) == 1
    os.kill(again.popen.pid, signal.SIGTERM)
    assert again.popen.wait(30) == 0, again.tail()
    assert not list((stage.folder / "home" / "workers").rglob("claim.json")), "nothing is left to remember"


def test_an_outage_is_waited_out(stage: Stage, server: SempreServer) -> None:
    worker = stage.start()
    ended, seen_ended = stage.ask("waiting")
    lasting, seen_lasting = stage.ask("waiting")
    stage.began(seen_ended), stage.began(seen_lasting)
    server.kill()
    seen_ended.with_suffix(".go").touch()
    server.start()
    assert worker.running(), worker.tail()
    stage.ended(ended, "COMPLETED", timeout=90)
    # It found its way back to the channel: the next look by itself would come too late.
    later, _ = stage.ask("quick")
    stage.ended(later, "COMPLETED", timeout=90)
    assert stage.runs.flow_run(lasting)["state_type"] == "RUNNING"
    seen_lasting.with_suffix(".go").touch()
    stage.ended(lasting, "COMPLETED")
    assert len(noted(seen_ended)) == len(noted(seen_lasting)) == 1


def test_one_look(stage: Stage) -> None:
    run_id, seen = stage.ask("quick")
    worker = stage.start("--run-once", wait=False)
    assert worker.popen.wait(60) == 0, worker.tail()
    assert stage.runs.flow_run(run_id)["state_type"] == "COMPLETED"
    assert len(noted(seen)) == 1


def test_what_does_not_end_when_it_is_cancelled_is_killed(stage: Stage) -> None:
    stage.start_failing("impatient")
    run_id, _ = stage.ask("quick", command="sleep 600")
    stage.ended(run_id, "Submitting")
    run = eventually(lambda: (r := stage.runs.flow_run(run_id))["infrastructure_pid"] and r, "its process runs")
    pid = run["infrastructure_pid"].rpartition(":")[2]
    stage.runs.post(f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})
    stage.ended(run_id, "CANCELLED")
    assert not os.path.exists(f"/proc/{pid}")
    stage.told_cancelled(run_id)


def test_what_is_cancelled_before_it_begins_is_ended_at_once(stage: Stage) -> None:
    stage.start(SEMPRE_WORKER_ENABLE_CANCELLATION="true")
    run_id, _ = stage.ask("quick", command="sleep 600")
    stage.ended(run_id, "Submitting")
    eventually(lambda: stage.runs.flow_run(run_id)["infrastructure_pid"], "its process runs")
    stage.runs.post(f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})
    stage.ended(run_id, "CANCELLED", timeout=20)  # what runs has 30 seconds
    stage.told_cancelled(run_id)
