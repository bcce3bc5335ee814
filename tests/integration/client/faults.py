"""A connection on which answers get lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from tests.support.net import LOOPBACK


class LosesAnswers:
    """Stands before a server. While `lose` is above 0 a request is carried out and its answer is thrown away, and the
    connection with it."""

    def __init__(self, target_port: int) -> None:
        self.lose = 0
        self.lost = 0
        self.port = 0
        self._target = target_port
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loses-answers", daemon=True)

    def __enter__(self) -> LosesAnswers:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):  # the transports close in the loop's next rounds
            await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection(LOOPBACK, self._target)
        self._writers += (writer, back)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._forward(reader, back)),
                    asyncio.ensure_future(self._answer(onward, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        for end in (writer, back):
            end.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            writer.write(part)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            if self.lose:
                self.lose -= 1
                self.lost += 1
                return
            writer.write(part)
