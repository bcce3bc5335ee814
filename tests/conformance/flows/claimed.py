"""A flow that leaves a line in a file each time it is executed; as a script: its deployment to the pool named."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import os
import sys
import time
from pathlib import Path

from prefect import flow


@flow(name="witnessed")
def witnessed(witness: str, linger: float = 0.0) -> None:
    with Path(witness).open("a") as lines:
        lines.write(f"{os.getpid()}\n")
    time.sleep(linger)


if __name__ == "__main__":
    loaded = flow.from_source(source=str(Path(__file__).parent), entrypoint="claimed.py:witnessed")
    loaded.deploy(name="witnessed-dep", work_pool_name=sys.argv[1], print_next_steps=False)
