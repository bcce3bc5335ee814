"""What each page of each UI must show of the house that `flows/world.py` furnished."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Page:
    """A path (with names of `House.ids` in braces), texts on it, and its tabs with what each of them shows.

    `to_the_minute` says that the page only asks for what was before the present minute.
    """

    path: str
    shows: tuple[str, ...]
    tabs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    to_the_minute: bool = False


RUN = "/runs/flow-run/{symphony}"
DEPLOYMENT = "/deployments/deployment/{deployment}"
EVENT = "/events/event/{day}/{event}"

# Last, because they may have to wait.
_LAST = {
    "dashboard": Page("/dashboard", ("Flow Runs", "cacophony", "16", "hall", "Late runs"), to_the_minute=True),
    "events": Page(
        "/events", ("prefect.work-pool.ready", "prefect.worker.started", "bassoonist", "Past day"), to_the_minute=True
    ),
}

# Pages that both UIs draw alike enough for the same words.
_BOTH = {
    "runs": Page("/runs", ("symphony-no-2", "cacophony-one", "7 Task runs", "waiting", "fermata-one")),
    "task-runs": Page("/runs?tab=task-runs", ("encore-0", "transform-", "fragile")),
    "failed-run": Page("/runs/flow-run/{cacophony}", ("Failed", "somebody dropped the cymbals", "RuntimeError")),
    "paused-run": Page("/runs/flow-run/{fermata}", ("Paused", "waiting")),
    "subflow-run": Page("/runs/flow-run/{encore}", ("encore number 3", "symphony-no-1", "Completed")),
    "flows": Page("/flows", ("orchestra", "2 Deployments", "symphony-no-2", "cacophony-one")),
    "deployments": Page("/deployments", ("evening", "matinee", "orchestra", "classical", "2 Deployments")),
    "custom-run": Page(f"{DEPLOYMENT}/run", ("instrument", "players", "movements", "hall", "Start")),
    "deployment-edit": Page(f"{DEPLOYMENT}/edit", ("evening", "instrument", "players", "Save")),
    "work-pools": Page("/work-pools", ("hall", "Process", "Last Polled")),
    "blocks": Page("/blocks", ("1 Block", "stage-key", "Secret")),
    "block-catalog": Page("/blocks/catalog", ("Blocks", "Slack Webhook", "Local File System")),
    "block-type": Page("/blocks/catalog/secret", ("represents a secret value", "Create")),
    "block": Page("/blocks/block/{secret}", ("stage-key", "********")),
    "block-edit": Page("/blocks/block/{secret}/edit", ("Value", "A value that should be kept secret")),
    "variables": Page("/variables", ("2 Variables", "tempo", "allegro", "program", "overture", "score")),
    "automation-edit": Page("/automations/automation/{automation}/edit", ("Trigger", "orchestra.applause", "Observe")),
    "global-limits": Page("/concurrency-limits", ("stage-door", "applause-rate", "0.5")),
    "tag-limit": Page("/concurrency-limits/concurrency-limit/{tag}", ("fragile", "No active task runs", "{tag}")),
    "artifacts": Page("/artifacts", ("poster", "rehearsal", "hall", "seating", "score", "Again")),
    "artifact": Page("/artifacts/artifact/{score}", ("played presto", "document-", "symphony-no-2")),
    "artifact-key": Page("/artifacts/key/score", ("Created score", "symphony-no-1", "symphony-no-2")),
    "settings": Page("/settings", ("Server Settings", "migrate_on_start", "connection_url")),
}

V2 = _BOTH | {
    "run": Page(
        RUN,
        ("symphony-no-1", "Completed", "the conductor raises the baton for number 1", "a string is about to break"),
        {
            "Details": ("Run Count", "{symphony}"),
            "Task Runs": ("7 Task runs", "extract-", "transform-", "document-"),
            "Subflow Runs": ("encore", "1 Subflow run"),
            "Artifacts": ("score", "seating", "hall", "rehearsal", "poster"),
            "Parameters": ("soloists", "Clara"),
            "Job Variables": ("Copy job variables",),
        },
    ),
    "task-run": Page(
        "/runs/task-run/{document}",
        ("symphony-no-1", "Finished in state Completed()"),
        {"Artifacts": ("score", "seating"), "Task Inputs": ("input_type", "task_run")},
    ),
    "flow": Page(
        "/flows/flow/{flow}",
        ("symphony-no-1", "14", "2 Flow runs"),
        {"Deployments": ("No deployments for this flow",), "Details": ("Flow ID", "{flow}")},
    ),
    "deployment": Page(
        DEPLOYMENT,
        ("orchestra", "Every 6 hours", "At 08:00 PM", "da capo", "opus-1", "Next Run", "Ready"),
        {
            "Upcoming": ("6 Flow runs", "auto-scheduled"),
            "Parameters": ("players", "4"),
            "Configuration": ("BATON", "ivory"),
            "Description": ("Plays every evening",),
        },
    ),
    "deployment-duplicate": Page(f"{DEPLOYMENT}/duplicate", ("Duplicate", "classical", "Save")),
    "work-pool": Page(
        "/work-pools/work-pool/hall",
        ("auto-scheduled", "Ready", "Base Job Configuration"),
        {
            "Work Queues": ("strings", "default", "Ready"),
            "Workers": ("bassoonist", "Online"),
            "Deployments": ("evening", "matinee"),
        },
    ),
    "work-queue": Page(
        "/work-pools/work-pool/hall/queue/strings", ("Priority", "strings"), {"Runs": ("No runs found",)}
    ),
    "automations": Page(
        "/automations", ("da capo", "Play it again", "evening", "silence", "Silenced", "2 automations")
    ),
    "automation": Page("/automations/automation/{automation}", ("da capo", "Play it again", "evening", "Trigger")),
    "event": Page(
        EVENT, ("Orchestra Applause", "orchestra.applause", "symphony-no-2"), {"Raw": ('"seat": "17"', '"n": 7')}
    ),
    "task-limits": Page("/concurrency-limits?tab=task-run", ("Task Run Concurrency Limits", "fragile", "7")),
}

V1 = _BOTH | {
    "run": Page(
        RUN,
        ("symphony-no-1", "Completed", "the conductor raises the baton for number 1", "a string is about to break"),
        {
            "Task Runs": ("7 Task runs", "extract-", "transform-", "document-"),
            "Subflow Runs": ("encore", "1 Flow run"),
            "Artifacts": ("score", "seating", "hall", "rehearsal", "poster"),
            "Details": ("Run Count", "{symphony}"),
            "Parameters": ("soloists", "Clara"),
            "Job Variables": ("{}",),
        },
    ),
    "task-run": Page(
        "/runs/task-run/{document}",
        ("symphony-no-1", "Finished in state Completed()"),
        {"Artifacts": ("score", "seating"), "Task inputs": ("wait_for", "task_run")},
    ),
    "flow": Page(
        "/flows/flow/{flow}",
        ("symphony-no-1", "14", "2 Flow runs"),
        {"Deployments": ("0 Deployments",), "Details": ("Flow ID", "{flow}")},
    ),
    "deployment": Page(
        DEPLOYMENT,
        ("orchestra", "rehearsal", "At 08:00 PM every day", "da capo", "opus-1", "Next Run", "Ready"),
        {
            "Upcoming": ("6 Flow runs", "auto-scheduled"),
            "Parameters": ("players", "4"),
            "Configuration": ("BATON", "ivory"),
            "Description": ("Plays every evening",),
        },
    ),
    "work-pool": Page(
        "/work-pools/work-pool/hall",
        ("auto-scheduled", "Ready"),
        {
            "Work Queues": ("strings", "default", "Ready"),
            "Workers": ("bassoonist", "Online"),
            "Deployments": ("evening", "matinee"),
        },
    ),
    "work-queue": Page("/work-pools/work-pool/hall/queue/strings", ("Priority", "strings"), {"Runs": ("No runs",)}),
    "work-pool-create": Page("/work-pools/create", ("Docker", "Kubernetes", "Process")),
    "block-create": Page("/blocks/catalog/secret/create", ("Block Name", "Value")),
    "automations": Page("/automations", ("da capo", "Play it again", "evening", "silence", "Silenced")),
    "automation": Page("/automations/automation/{automation}", ("da capo", "Play it again", "evening", "Trigger")),
    "automation-create": Page("/automations/create", ("Trigger Template", "Actions")),
    "event": Page(EVENT, ("orchestra.applause", "orchestra.hall.1", "symphony-no-2"), {"Raw": ("seat", "17")}),
    "task-limits": Page("/concurrency-limits", ("stage-door",), {"Task Run": ("fragile", "7")}),
}

PAGES = {"v2": V2 | _LAST, "v1": V1 | _LAST}
