"""Commands of ours that the pages about deploying tell people to type are commands, with the options that they have."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charts.commands import check_call
from tests.support.prefect_env import ROOT

PAGES = [
    *sorted((ROOT / "docs" / "deploy").glob("*.md")),
    *(
        ROOT / name
        for name in ("docs/canary.md", "docs/migrating.md", "deploy/README.md", "images/README.md", "README.md")
    ),
]
# At a prompt, in a container, or behind variables: where the program's name may stand in a line.
_TYPED = re.compile(r"(?:^\s*\w*[$#] |-- |\bapi-1 )(?:env )?(?:[A-Z_]+=\S+ +)*(sempre .*)$", re.MULTILINE)
_SPOKEN = re.compile(r"`(?:[A-Z_]+=\S+ +)*(sempre [^`]+)`")
_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_END = re.compile(r"\s#\s.*|\s(?:&&|\|).*|[;|].*")


def _words(text: str) -> list[str]:
    return [word for word in shlex.split(_END.sub("", text)) if "..." not in word or "=" in word or ":" in word]


def typed(text: str) -> Iterator[list[str]]:
    """What is typed as it stands there."""
    for block in _FENCE.findall(text):
        yield from map(_words, _TYPED.findall(re.sub(r"\\\n\s*", "", block)))


def spoken(text: str) -> Iterator[list[str]]:
    """What a sentence calls by its name, perhaps without all that it takes."""
    for found in _SPOKEN.findall(_FENCE.sub("", text)):
        yield _words(re.sub(r"\s+", " ", found))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_commands(page: Path) -> None:
    text = page.read_text()
    for call in typed(text):
        check_call(call)
    for call in spoken(text):
        if len(call) > 1:
            check_call(call, prose=True)


def test_they_are_found() -> None:
    text = (ROOT / "docs" / "deploy" / "kubernetes.md").read_text()
    api = "http://127.0.0.1:4200/api"
    moving = ["sempre", "transfer", "--from", "http://prefect-server:4200/api", "--to", api, "--pause-schedules"]
    assert moving in list(typed(text))
    assert ["sempre", "deployment", "schedule", "resume", "--all"] in list(typed(text))
    assert ["sempre", "transfer"] in list(spoken(text))
    assert list(typed("```console\n# sempre a b  # why\nvm1$ X=1 sempre c | tail\n```")) == [
        ["sempre", "a", "b"],
        ["sempre", "c"],
    ]
