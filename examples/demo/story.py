"""The demo, step by step."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from examples.demo.api import Json
from examples.demo.errors import DemoError
from examples.demo.expected import differences, expected
from examples.demo.players import ROOT
from examples.demo.stage import START_TIMEOUT, Stage

SOURCE = ROOT / "examples" / "data" / "weather.csv"
POOL = "demo"
FLOW = "weather-report"
DEPLOYMENT = "demo"
REPORT_KEY = "weather-report"
STATIONS = 6
TASKS = 4 + STATIONS  # read, check, one per station, write, publish
FLAKY = "summarise gale"
PACE = 1.2  # seconds per week and station, two stations at a time: a run of about 21 s
EVERY = 60  # seconds between scheduled runs
FIRST = 8  # seconds to the first one
KILL_AFTER = 2  # stations that are done
# With the stock client no scheduled run begins this many seconds after the kill. A process of it that finds nobody at
# its very first request gives up at once; the run would be Crashed. Workers begin up to 10 s early.
QUIET_SECONDS = 25.0
OUTAGE_SECONDS = 2.0
RUN_TIMEOUT = 90.0
RECORD_TIMEOUT = 30.0
TERMINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


class Story:
    """What happens on a stage. Every step raises DemoError when it does not go as it should."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.api = stage.api
        self.show = stage.show

    def play(self) -> None:
        """The whole demo; leaves server and worker running."""
        self.begin()
        deployment = self.deploy()
        run_id = self.api.run_now(deployment["id"])
        self.show.step(f"asked for a run now: {run_id}")
        self.watch_half(run_id, deployment["id"])
        self.kill_and_restart()
        self.watch_end(run_id)
        runs = self.settle(deployment["id"])
        self.check_results(runs)
        report = self.stage.until("the artifact is there", lambda: self.api.artifact(run_id, REPORT_KEY), 15)
        self.show.report(str(report), f"Artifact {REPORT_KEY}")
        self.show.runs((run, self.api.task_runs(run["id"])) for run in runs)

    def begin(self) -> None:
        """A server on an empty home, and a worker, which makes its work pool."""
        began = time.monotonic()
        self.stage.start_server()
        self.show.step(f"the server is ready after {time.monotonic() - began:.1f} s: [bold]{self.api.url}[/]")
        arguments = ("worker", "start", "--type", "process", "--pool", POOL, "--name", "demo-worker")
        self.stage.worker = self.stage.start_client("worker", self.stage.players.package, *arguments)
        self.stage.until("the worker comes online", lambda: self.api.online_workers(POOL), START_TIMEOUT)
        self.show.step(f"a process worker is online and has made the work pool {POOL!r}")

    def deploy(self) -> Json:
        options = ("--pool", POOL, "--name", DEPLOYMENT, "--output", str(self.stage.place.results))
        times = ("--pace", str(PACE), "--every", str(EVERY), "--first", str(FIRST))
        self.stage.run_client("the pipeline is deployed", "deploy", "examples.deploy", *options, *times)
        self.show.step(f"deployed {FLOW}/{DEPLOYMENT}, scheduled every {EVERY} s")
        return self.api.deployment(FLOW, DEPLOYMENT)

    def watch_half(self, run_id: str, deployment_id: str) -> None:
        """Until the run is in the middle of its work, and no other one is about to begin."""

        def running() -> bool:
            return self.api.flow_run(run_id)["state_type"] not in ("SCHEDULED", "PENDING")

        def half() -> bool:
            run = self.api.flow_run(run_id)
            if run["state_type"] in TERMINAL:
                raise DemoError(f"The run ended before the server was killed. {_in_words(run)}", *self.stage.logs)
            done = sum(name.startswith("summarise") for name in self.api.completed_tasks(run_id))
            others = [other for other in self.api.flow_runs(deployment_id) if other["id"] != run_id]
            return done >= KILL_AFTER and (self.stage.players.patient or all(_is_quiet(other) for other in others))

        self.stage.until("the worker starts the run", running, RUN_TIMEOUT)
        self.show.step("the run is running, in a process of its own")
        self.stage.until("the stations are summarised", half, RUN_TIMEOUT, lambda: self._progress(run_id))
        self.show.step(f"{KILL_AFTER} of {STATIONS} stations or more are done")

    def _progress(self, run_id: str) -> str:
        return f"{len(self.api.completed_tasks(run_id))} of {TASKS} tasks done"

    def kill_and_restart(self) -> None:
        """kill -9, a moment of nothing, and the server again on the same port and data."""
        began = time.monotonic()
        pid = self.stage.kill_server()
        self.show.note(f"[bold red]kill -9 {pid}[/]: the server is gone, the flow goes on without it")
        if self.api.ready():
            raise DemoError(f"Somebody else answers at {self.api.url}")
        with self.show.waiting("no server ..."):
            time.sleep(OUTAGE_SECONDS)
        self.stage.start_server()
        self.show.step(f"the server is back, after {time.monotonic() - began:.1f} s")

    def watch_end(self, run_id: str) -> None:
        """The run completes, ran once, and every task of it is recorded, the retry too."""

        def ended() -> bool:
            return self.api.flow_run(run_id)["state_type"] in TERMINAL

        def recorded() -> bool:
            return len(self.api.completed_tasks(run_id)) == TASKS

        self.stage.until("the run goes on", ended, RUN_TIMEOUT, lambda: self._progress(run_id))
        run = self.api.flow_run(run_id)
        if run["state_type"] != "COMPLETED":
            raise DemoError(f"The run did not complete. {_in_words(run)}", *self.stage.logs)
        states = self.api.states(run_id)
        if states.count("RUNNING") != 1 or states.count("COMPLETED") != 1 or run["run_count"] != 1:
            raise DemoError(f"The run did not run once: {', '.join(states)} (run count {run['run_count']})")
        self.stage.until("all its tasks are recorded", recorded, RECORD_TIMEOUT, lambda: self._progress(run_id))
        tasks = self.api.task_runs(run_id)
        retried = [task["name"] for task in tasks if task["run_count"] > 1]
        if len(tasks) != TASKS or retried != [FLAKY]:
            raise DemoError(
                f"{len(tasks)} tasks with {retried} retried, expected {TASKS} and {FLAKY}", *self.stage.logs
            )
        self.show.step(
            f"[bold]the run completed[/], although the server was killed under it: it ran once, {TASKS} tasks "
            f"(1 retried), {self.api.log_count(run_id)} log lines"
        )

    def settle(self, deployment_id: str) -> list[Json]:
        """Wait for a scheduled run, stop the schedule, let the others end; returns all runs."""

        def scheduled() -> bool:
            runs = self.api.flow_runs(deployment_id)
            return any(run["auto_scheduled"] and run["state_type"] in TERMINAL for run in runs)

        def ended() -> list[Json]:
            runs = self.api.flow_runs(deployment_id)
            return runs if all(run["state_type"] in TERMINAL for run in runs) else []

        self.stage.until("a scheduled run ends", scheduled, EVERY + RUN_TIMEOUT)
        self.api.pause(deployment_id)
        runs = self.stage.until("the other runs end", ended, RUN_TIMEOUT)
        if failed := [_in_words(run) for run in runs if run["state_type"] != "COMPLETED"]:
            raise DemoError("\n".join(["Not all runs completed.", *failed]), *self.stage.logs)
        count = sum(run["auto_scheduled"] for run in runs)
        self.show.step(f"{count} scheduled {'run' if count == 1 else 'runs'} completed, too; the schedule is paused")
        return runs

    def check_results(self, runs: list[Json]) -> None:
        """Compare each run's files with totals worked out from the raw file by another route."""
        wanted = expected(SOURCE)
        for run in runs:
            if wrong := differences(self.stage.place.results / run["id"], wanted):
                raise DemoError(f"The result of {run['name']} is wrong:\n" + "\n".join(wrong), *self.stage.logs)
        rain = sum(totals.rain for totals in wanted.stations.values()) / 10
        self.show.step(
            f"all results are right: {wanted.used} readings used, {wanted.rejected} rejected, "
            f"{len(wanted.stations)} stations, {rain:.1f} mm of rain"
        )


def _is_quiet(run: Json) -> bool:
    """Whether a run is over, or a while ahead."""
    if run["state_type"] != "SCHEDULED":
        return run["state_type"] in TERMINAL
    return (datetime.fromisoformat(run["expected_start_time"]) - datetime.now(UTC)).total_seconds() > QUIET_SECONDS


def _in_words(run: Json) -> str:
    return f"Run {run['id']} is {run['state_name']}: {run['state'].get('message') or 'no message'}"
