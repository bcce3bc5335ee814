"""What code can ask of the run that it is a part of: `runtime.flow_run.id`, `runtime.task_run.name`, ...

Outside of runs, ids and names are None, and tags, parameters and job variables empty.
"""

from sempre.runtime import deployment, flow_run, task_run

__all__ = ["deployment", "flow_run", "task_run"]
