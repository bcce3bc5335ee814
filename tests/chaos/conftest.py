"""Prints seeds and figures at the end of a session."""

from __future__ import annotations

import pytest

from tests.chaos.plan import SHORT, figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures:
        terminalreporter.section(f"chaos, {'short' if SHORT else 'full'} form")
        for text in figures:
            terminalreporter.write_line(text)
