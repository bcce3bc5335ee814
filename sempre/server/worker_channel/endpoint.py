"""``/work_pools/{work_pool_name}/workers/connect``: the connection that a worker keeps open while it lives."""

import asyncio
import logging

import asyncpg
from starlette.websockets import WebSocket, WebSocketDisconnect

from sempre.db.errors import DatabaseUnavailable
from sempre.server.feed.websockets import POLICY, Refused, receive_object, session
from sempre.server.scope import Client, Scope, scope_of
from sempre.server.worker_channel.admission import admit
from sempre.server.worker_channel.channel import Channel
from sempre.server.worker_channel.frames import INTERNAL, TRANSIENT, Frame, Hello, payload_of, protocol_error

__all__ = ["worker_channel"]

log = logging.getLogger("sempre.server.worker_channel")

_SETUP_SECONDS = 10.0


async def worker_channel(websocket: WebSocket) -> None:
    """Serve one worker until it or its pool goes away."""
    if "prefect" not in websocket.scope.get("subprotocols", ()):
        await websocket.close(POLICY)  # before accepting: the upgrade is refused with 403
        return
    async with session(websocket, failure="authentication_failed") as opened:
        if opened:
            try:
                await _serve(websocket)
            except (Refused, WebSocketDisconnect):
                raise
            except DatabaseUnavailable as error:
                log.info("a worker's channel is closed, for the database is away: %s", error)
                raise Refused(INTERNAL, TRANSIENT) from error
            except (asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
                log.info("a worker's frame cannot be stored: %s", error)
                raise protocol_error() from error
            except Exception as error:
                log.exception("a worker's channel failed")
                raise Refused(INTERNAL, TRANSIENT) from error


async def _serve(websocket: WebSocket) -> None:
    base: Scope = scope_of(websocket.app.state)
    client = Client.of(websocket.headers.get("user-agent"), websocket.headers.get("x-prefect-api-version"))
    scope = Scope(base.db, base.settings, base.doorbell, base.workspace_id, client)
    pool_name = websocket.path_params["work_pool_name"]
    try:
        async with asyncio.timeout(_SETUP_SECONDS):
            frame = payload_of(Frame, await receive_object(websocket))
    except TimeoutError:
        raise protocol_error() from None
    if frame.type != "worker.hello.v1":
        raise protocol_error()
    hello = payload_of(Hello, frame.payload)
    grant = await admit(scope, pool_name, hello)
    await Channel(websocket, scope, pool_name, hello, grant).run()
