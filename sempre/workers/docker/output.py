"""Copies what containers print to the worker's own output."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import datetime

import aiodocker
import aiohttp

from sempre.workers.docker.events import moment

__all__ = ["copy_output"]

PAUSE_SECONDS = 2.0

log = logging.getLogger("sempre.workers.docker")


async def copy_output(docker: aiodocker.Docker, container_id: str, since: datetime | None) -> None:
    """Every line once, of both streams, from a time on (None: from the beginning), until the container ends. Breaks are
    outlasted."""
    container = docker.containers.container(container_id)
    last = "" if since is None else since.strftime("%Y-%m-%dT%H:%M:%S.%f")
    while True:
        whole = False
        try:
            rest, begin = "", last
            seconds = int(moment(begin).timestamp()) if begin else 0
            stream = container.log(stdout=True, stderr=True, follow=True, since=seconds, timestamps=True)
            async for piece in stream:
                *lines, rest = f"{rest}{piece}".split("\n")
                for line in lines:
                    stamp, _, text = line.partition(" ")
                    time = stamp.rstrip("Z")
                    if time > begin:  # the engine counts in whole seconds
                        last = max(last, time)
                        sys.stdout.write(f"{text}\n")
                sys.stdout.flush()
            whole = not (await container.show())["State"]["Running"]
        except aiodocker.DockerError as error:
            whole = error.status == 404
            log.debug("The output of container %s cannot be read: %s", container_id, error)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.debug("The output of container %s cannot be read: %s", container_id, error)
        if whole:
            return
        await asyncio.sleep(PAUSE_SECONDS)
