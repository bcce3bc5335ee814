"""Deploys the flows of deployed.py to the work pool named on the command line."""

import sys
from pathlib import Path

from prefect import flow

if __name__ == "__main__":
    here = str(Path(__file__).parent)
    for name in ("quick", "endless", "suspending", "dying"):
        loaded = flow.from_source(source=here, entrypoint=f"deployed.py:{name}")
        loaded.deploy(name=f"{name}-dep", work_pool_name=sys.argv[1], print_next_steps=False, tags=["conformance"])
