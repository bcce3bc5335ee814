"""Runs commands of the client's CLI, each in a process of its own forked from this warm interpreter.

A start of its own costs every command seconds of imports. Here they are done once, and nothing else is: no command ever
runs in this process itself, so what is forked is what a cold start would have become. One JSON object
`{"args": [...], "timeout": seconds}` a line on stdin; one `{"code": ..., "output": ...}` a line on stdout.
"""

import json
import os
import runpy
import select
import signal
import sys
import time
import traceback
from typing import Any

import cyclopts  # type: ignore[import-not-found, unused-ignore] # noqa: F401
import prefect.artifacts
import prefect.automations
import prefect.blocks.system
import prefect.client.orchestration
import prefect.deployments
import prefect.events
import prefect.flows
import prefect.variables
import prefect.workers.base  # noqa: F401


def command(args: list[str], output: int) -> None:
    """`python -m prefect ARGS`, in the child."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["prefect", *args]
    code = 0
    try:
        runpy.run_module("prefect", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def read_all(source: int, pid: int, timeout: float) -> str:
    """What the child writes until its end; kills it, and says so, when the time is up."""
    deadline = time.monotonic() + timeout
    parts: list[bytes] = []
    while select.select([source], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(source, 65536)
        if not part:
            break
        parts.append(part)
    else:
        os.kill(pid, signal.SIGKILL)
        parts.append(f"\nkilled after {timeout:g} s".encode())
    return b"".join(parts).decode(errors="replace")


def run(request: dict[str, Any]) -> dict[str, Any]:
    source, output = os.pipe()
    pid = os.fork()
    if not pid:
        command(request["args"], output)
    os.close(output)
    written = read_all(source, pid, request["timeout"])
    os.close(source)
    return {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "output": written}


for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
