"""What task-run rules share while they decide one transition."""

from sempre.core.transitions.model import Inputs, Proposal, TaskRun, TaskRunFacts
from sempre.core.transitions.rules import Context

__all__ = ["TaskContext"]


class TaskContext(Context):
    """A task run's proposal on its way through the rules. Changes made here vanish if another state is substituted."""

    __slots__ = ("background", "cacheable", "facts", "flow_run_run_count", "run", "run_count")

    def __init__(
        self, run: TaskRun, proposal: Proposal, facts: TaskRunFacts, inputs: Inputs, *, background: bool
    ) -> None:
        super().__init__(run.state, proposal, inputs)
        self.run = run
        self.facts = facts
        self.background = background
        self.run_count = run.run_count
        self.flow_run_run_count = run.flow_run_run_count
        self.cacheable = False
