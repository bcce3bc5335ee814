"""A mail server on loopback that keeps what it is given and answers as it is told."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import SMTP

LOOPBACK = "127.0.0.1"


@dataclass
class MailServer:
    """``answers`` are replies by verb (``RCPT``, ``DATA``: the one after the text), ``silent`` verbs get none."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    answers: dict[str, str] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    mails: list[Message] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation."""
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        recipients: list[str] = []
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            self.verbs.append(verb)
            if verb in self.silent:
                await reader.read()  # until the other side has had enough
                return
            if verb == "RCPT":
                recipients.append(line)
            if verb == "STARTTLS":
                writer.write(b"220 go on\r\n")
                assert self.tls is not None
                await writer.start_tls(self.tls)
                continue
            if verb == "AUTH":
                _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                self.logins.append((user, password))
            reply = self.answers.get(verb, self._reply(verb))
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                text = await reader.readuntil(b"\r\n.\r\n")
                reply = self.answers.get("DATA", "250 taken")
                if reply.startswith("250"):
                    self.mails.append(
                        message_from_bytes(text.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n."), policy=SMTP)
                    )
                    self.recipients.append(recipients)
            writer.write(reply.encode() + b"\r\n")
            await writer.drain()
            if verb == "QUIT":
                return

    def _reply(self, verb: str) -> str:
        if verb == "EHLO":
            return "250-here\r\n" + ("250-STARTTLS\r\n" if self.tls else "") + "250 AUTH PLAIN"
        return {"AUTH": "235 welcome", "QUIT": "221 bye"}.get(verb, "250 fine")


@asynccontextmanager
async def mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[MailServer]:
    """One that offers STARTTLS, or speaks TLS from the beginning, or neither."""
    mails = MailServer(tls=starttls)
    server = await asyncio.start_server(mails.serve, LOOPBACK, 0, ssl=tls)
    mails.port = server.sockets[0].getsockname()[1]
    try:
        yield mails
    finally:
        server.close()
