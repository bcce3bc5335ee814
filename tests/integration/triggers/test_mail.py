"""Notifications by mail, as a mail server gets them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sempre.core.notifications import Mail, Message, Security
from sempre.server.outbound.addresses import PrivateAddress
from sempre.server.outbound.mail import Refused, send_mail
from tests.support.certificates import certificate_for
from tests.support.smtp import LOOPBACK, mail_server

MAIL = Mail(
    host=LOOPBACK,
    port=0,
    security=Security.NONE,
    sender="Sempre <sempre@mail.test>",
    recipients=("one@mail.test", "two@mail.test"),
    message=Message("Über\nBcc: third@mail.test", "the body\n.\nsays é", "an-id"),
    timeout=5,
)


async def test_a_mail_arrives_as_it_is() -> None:
    async with mail_server() as server:
        await send_mail(replace(MAIL, port=server.port))
    (mail,) = server.mails
    assert mail["Subject"] == "Über Bcc: third@mail.test", "no line of the subject becomes a header"
    assert mail["Bcc"] is None
    assert mail["From"] == "Sempre <sempre@mail.test>"
    assert mail["To"] == "one@mail.test, two@mail.test"
    assert mail["Message-ID"] == "<an-id@mail.test>"
    assert mail.get_payload(decode=True).decode().splitlines() == ["the body", ".", "says é"]  # type: ignore[union-attr]
    assert server.recipients == [["rcpt TO:<one@mail.test>", "rcpt TO:<two@mail.test>"]]


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_tls_asks_for_the_name(security: Security, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trusted, context = certificate_for("localhost", tmp_path)
    _, other = certificate_for("other.test", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    kind = "starttls" if security is Security.STARTTLS else "tls"
    mail = replace(MAIL, host="localhost", security=security, login=("me", "secret"))
    async with mail_server(**{kind: context}) as server:
        await send_mail(replace(mail, port=server.port))
        assert server.logins == [("me", "secret")]
    async with mail_server(**{kind: other}) as server:
        with pytest.raises(Refused, match="certificate") as refused:
            await send_mail(replace(mail, port=server.port))
        assert not refused.value.may_pass
        assert server.logins == []
        await send_mail(replace(mail, port=server.port, verify=False))
        assert len(server.mails) == 1


async def test_without_the_promised_protection_nothing_is_told() -> None:
    async with mail_server() as server:
        with pytest.raises(Refused, match="STARTTLS"):
            await send_mail(replace(MAIL, port=server.port, security=Security.STARTTLS, login=("me", "secret")))
    assert server.logins == []
    assert server.mails == []


@pytest.mark.parametrize(
    ("verb", "answer", "may_pass"),
    [
        ("MAIL", "451 later", True),
        ("MAIL", "550 never", False),
        ("RCPT", "450 busy", True),
        ("RCPT", "550 unknown", False),
        ("DATA", "452 full", True),
        ("DATA", "554 spam", False),
        ("AUTH", "535 who are you", False),
    ],
)
async def test_refusals_pass_or_do_not(verb: str, answer: str, may_pass: bool) -> None:
    async with mail_server() as server:
        server.answers[verb] = answer
        with pytest.raises(Refused, match=answer.split()[0]) as refused:
            await send_mail(replace(MAIL, port=server.port, login=("me", "secret")))
    assert refused.value.may_pass is may_pass


async def test_a_silent_server_is_cut_off() -> None:
    async with mail_server() as server:
        server.silent = frozenset({"MAIL"})
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await send_mail(replace(MAIL, port=server.port, timeout=0.4))
        assert asyncio.get_running_loop().time() - began < 60


async def test_nobody_there() -> None:
    async with mail_server() as server:
        pass
    with pytest.raises(OSError, match=r"refused|Connect"):
        await send_mail(replace(MAIL, port=server.port))


async def test_a_private_network_can_be_out_of_bounds() -> None:
    async with mail_server() as server:
        with pytest.raises(PrivateAddress):
            await send_mail(replace(MAIL, port=server.port, allow_private=False))
    assert server.verbs == []
