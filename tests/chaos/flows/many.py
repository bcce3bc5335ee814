"""Several flows of tasks at once in one process. Arguments: ledger file, flows, steps of half a second of each."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import asyncio
import json
import os
import sys

from prefect import flow, runtime, task

LEDGER = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def note(kind: str, **facts: object) -> None:
    os.write(LEDGER, json.dumps({"kind": kind, **facts}).encode() + b"\n")


@task
async def step(number: int) -> int:
    note("body", id=str(runtime.task_run.id), number=number)
    await asyncio.sleep(0.5)
    return number


@flow(name="chaos-many")
async def one(steps: int) -> int:
    note("executed", id=str(runtime.flow_run.id))
    total = 0
    for number in range(steps):
        total += await step(number)
    return total


async def main(flows: int, steps: int) -> None:
    for result in await asyncio.gather(*(one(steps) for _ in range(flows))):
        note("result", value=result)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[2]), int(sys.argv[3])))
