"""Events by websocket, over any number of connections."""

from __future__ import annotations

import json
import random
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import typer
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from sempre.cli.errors import ApiAway, CliError
from sempre.cli.moments import parse_moment
from sempre.cli.rest import Json, Target
from sempre.core.retrying import pause_before_retry

_REMEMBERED = 100_000
_NOT_LET_IN = 1008
# Events come in the order of their commit, which is not that of their times.
_OVERLAP = timedelta(seconds=60)


def events(target: Target, criteria: Json) -> Iterator[Json]:
    """Events that match, each once. Ends with ApiAway when no connection can be made within the target's patience."""
    seen: OrderedDict[str, None] = OrderedDict()
    wanted: dict[str, Any] = dict(criteria)
    while True:
        with ExitStack() as connection:
            socket = _connected(connection, target, wanted)
            try:
                for message in socket:
                    event = json.loads(message)["event"]
                    if event["id"] in seen:
                        continue
                    seen[event["id"]] = None
                    if len(seen) > _REMEMBERED:
                        seen.popitem(last=False)
                    since = (parse_moment(event["occurred"]) - _OVERLAP).isoformat()
                    wanted["occurred"] = {**wanted["occurred"], "since": max(since, criteria["occurred"]["since"])}
                    yield event
            except ConnectionClosed:
                typer.echo("The stream was interrupted; connecting again.", err=True)


def _connected(stack: ExitStack, target: Target, criteria: Json) -> ClientConnection:
    """A connection that was let in and told what to send; closed with the stack."""
    began = time.monotonic()
    attempt = 0
    while True:
        try:
            return _connect(stack, target, criteria)
        except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake) as error:
            stack.close()
            pause = pause_before_retry(
                target.rules, status=None, headers={}, attempt=attempt, elapsed=time.monotonic() - began,
                draw=random.random(), now=datetime.now(UTC),  # noqa: S311
            )  # fmt: skip
            if pause is None:
                raise ApiAway(f"No stream of events from the API at {target.url}: {error}.") from None
            time.sleep(pause)
            attempt += 1


def _connect(stack: ExitStack, target: Target, criteria: Json) -> ClientConnection:
    url = "ws" + target.url.removeprefix("http") + "/events/out"
    options: dict[str, Any] = {"additional_headers": dict(target.headers), "ssl": target.tls, "max_size": None}
    socket: ClientConnection = stack.enter_context(connect(url, subprotocols=[Subprotocol("prefect")], **options))
    socket.send(json.dumps({"type": "auth", "token": target.token}))
    try:
        answer = json.loads(socket.recv(timeout=target.timeout))
    except ConnectionClosed as closed:
        if closed.rcvd is None or closed.rcvd.code != _NOT_LET_IN:
            raise
        raise CliError(
            f"The API lets nobody in without credentials: {closed.rcvd.reason}. Set SEMPRE_API_AUTH_STRING or "
            "SEMPRE_API_KEY."
        ) from None
    if answer.get("type") != "auth_success":
        raise CliError(f"The API answers {answer} where it should let us in.")
    socket.send(json.dumps({"type": "filter", "filter": {**criteria, "order": "ASC"}}))
    return socket
