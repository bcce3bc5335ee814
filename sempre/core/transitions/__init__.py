"""Transition rules: what becomes of a state proposed for a run. Values in, values out."""

from sempre.core.transitions.derived import mirror_write
from sempre.core.transitions.flow_run import decide_flow_run
from sempre.core.transitions.model import (
    CachedState,
    Decision,
    DeploymentLimit,
    FlowRun,
    FlowRunFacts,
    FlowRunPolicy,
    FlowRunWrite,
    Inputs,
    Policy,
    Proposal,
    SlotTake,
    Status,
    TagLimit,
    TaskRun,
    TaskRunFacts,
    TaskRunPolicy,
    TaskRunWrite,
)
from sempre.core.transitions.resume import resume_proposal
from sempre.core.transitions.task_run import decide_task_run

__all__ = [
    "CachedState",
    "Decision",
    "DeploymentLimit",
    "FlowRun",
    "FlowRunFacts",
    "FlowRunPolicy",
    "FlowRunWrite",
    "Inputs",
    "Policy",
    "Proposal",
    "SlotTake",
    "Status",
    "TagLimit",
    "TaskRun",
    "TaskRunFacts",
    "TaskRunPolicy",
    "TaskRunWrite",
    "decide_flow_run",
    "decide_task_run",
    "mirror_write",
    "resume_proposal",
]
