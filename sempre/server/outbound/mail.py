"""Mails to servers that users name, with the library's own client in threads of their own.

As with HTTP, a mail has a deadline in all, and the connection goes to an address that was looked up once and checked.
"""

import asyncio
import contextlib
import smtplib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr

from sempre.core.notifications import Mail, Security
from sempre.server.outbound.addresses import resolve

__all__ = ["Refused", "send_mail"]

# As many as actions reach the outside at a time; apart from the threads that look up names.
_threads = ThreadPoolExecutor(max_workers=20, thread_name_prefix="mail")


class Refused(Exception):
    """The server, or for some recipient, said no. ``may_pass``: nobody got the mail, and later it may say yes."""

    def __init__(self, problem: str, *, may_pass: bool) -> None:
        super().__init__(problem)
        self.may_pass = may_pass


class _Client(smtplib.SMTP):
    """Connects to addresses that were checked. TLS still asks for the host by its name."""

    def __init__(self, mail: Mail, addresses: list[str]) -> None:
        self._mail = mail
        self._addresses = addresses
        super().__init__(local_hostname=socket.gethostname(), timeout=mail.timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        *others, last = self._addresses
        patience = timeout / (len(others) + 1)
        for address in others:
            with contextlib.suppress(OSError):
                return self._connected(address, host, port, patience)
        return self._connected(last, host, port, patience)

    def _connected(self, address: str, host: str, port: int, patience: float) -> socket.socket:
        plain = socket.create_connection((address, port), patience)
        plain.settimeout(self._mail.timeout)
        if self._mail.security is not Security.TLS:
            return plain
        return _context(self._mail).wrap_socket(plain, server_hostname=host)

    def deliver(self) -> None:
        """The whole conversation. Raises smtplib.SMTPException, OSError, Refused."""
        mail = self._mail
        self._host = mail.host  # the name that STARTTLS asks for
        self.connect(mail.host, mail.port)
        try:
            if mail.security is Security.STARTTLS:
                self.starttls(context=_context(mail))
            if mail.login is not None:
                self.login(*mail.login)
            refused = self.send_message(_document(mail), mail.sender, mail.recipients)
            with contextlib.suppress(smtplib.SMTPException, OSError):
                self.quit()
        finally:
            self.close()
        if refused:
            raise Refused(f"{mail.host} refused {', '.join(sorted(refused))}", may_pass=False)

    def cut(self) -> None:
        """Make whatever waits for the server wait no longer. For another thread."""
        if isinstance(self.sock, socket.socket):
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def _context(mail: Mail) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not mail.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _document(mail: Mail) -> EmailMessage:
    document = EmailMessage(policy=SMTP)
    # A line break would end the header.
    document["Subject"] = " ".join(mail.message.subject.split()) or "Notification"
    document["From"] = mail.sender
    document["To"] = ", ".join(mail.recipients)
    document["Date"] = formatdate()
    domain = parseaddr(mail.sender)[1].rpartition("@")[2] or "localhost"
    document["Message-ID"] = f"<{mail.message.id}@{domain}>"
    document.set_content(mail.message.body)
    return document


async def send_mail(mail: Mail) -> None:
    """Hand a mail to its server, within ``mail.timeout`` seconds in all. Raises Refused, PrivateAddress, OSError (a
    TimeoutError is one), ValueError for addresses that cannot be such.
    """
    async with asyncio.timeout(mail.timeout):
        client = _Client(mail, await resolve(mail.host, mail.port, allow_private=mail.allow_private))
        try:
            await asyncio.get_running_loop().run_in_executor(_threads, _deliver, client)
        except asyncio.CancelledError:
            client.cut()
            raise


def _deliver(client: _Client) -> None:
    try:
        client.deliver()
    except smtplib.SMTPResponseException as error:
        raise Refused(f"{error.smtp_code} {_said(error.smtp_error)}", may_pass=400 <= error.smtp_code < 500) from error
    except smtplib.SMTPRecipientsRefused as error:
        answers = [code for code, _ in error.recipients.values()]
        told = "; ".join(f"{who}: {code} {_said(text)}" for who, (code, text) in error.recipients.items())
        raise Refused(told, may_pass=all(400 <= code < 500 for code in answers)) from error
    except (smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError) as error:
        raise OSError(str(error)) from error
    except (smtplib.SMTPException, ssl.SSLCertVerificationError) as error:
        raise Refused(str(error), may_pass=False) from error


def _said(text: bytes | str) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text
