"""What is logged of requests that fail because the database is away."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from sempre.db.errors import DatabaseUnavailable
from sempre.server import errors
from sempre.server.settings import load_settings


@pytest.mark.parametrize(
    ("away_seconds", "setting", "is_told"),
    [(None, "false", True), (None, "true", True), (5.0, "false", False), (5.0, "true", True)],
)
async def test_an_outage_that_is_known_is_not_told_by_every_request(
    caplog: pytest.LogCaptureFixture, away_seconds: float | None, setting: str, is_told: bool
) -> None:
    app = FastAPI()
    errors.install(app)
    settings = load_settings(env={"PREFECT_SERVER_LOG_RETRYABLE_ERRORS": setting})
    db = SimpleNamespace(away_seconds=away_seconds, failing_seconds=away_seconds)
    app.state.scope = SimpleNamespace(settings=settings, db=db)

    @app.get("/")
    async def fail() -> None:
        raise DatabaseUnavailable("nobody is there")

    caplog.set_level(logging.DEBUG, "sempre.server")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        assert (await http.get("/")).status_code == 503
    (line,) = [record for record in caplog.records if record.name == "sempre.server"]
    assert "nobody is there" in line.getMessage()
    assert (line.levelno >= logging.WARNING) is is_told


@pytest.mark.parametrize(
    ("failing_seconds", "waits"), [(None, False), (0.0, True), (899.0, True), (901.0, False)], ids=str
)
async def test_clients_are_told_to_wait_while_nothing_is_answered(failing_seconds: float | None, waits: bool) -> None:
    db = SimpleNamespace(away_seconds=None, failing_seconds=failing_seconds)
    state = SimpleNamespace(scope=SimpleNamespace(settings=load_settings(env={}), db=db))
    answer = errors.unavailable(state)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.headers.get("Prefect-Maintenance") == ("true" if waits else None)
