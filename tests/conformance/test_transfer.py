"""`sempre transfer` from another server of the protocol: how one moves here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.belongings import EVERYTHING, own
from tests.support.own_cli import OwnCli
from tests.support.runs import Runs, open_api
from tests.support.servers import ReferenceServer, SempreServer


def test_everything_comes_along(reference: ReferenceServer, server: SempreServer, workdir: Path) -> None:
    cli = OwnCli(server.api_url, workdir / "cli-home")

    def copy() -> Any:
        return cli.json("transfer", "--from", reference.api_url, "--to", server.api_url)

    with open_api(reference.api_url) as theirs, open_api(server.api_url) as ours:
        own(Runs(theirs))
        first = copy()
        failed = [each for each in first["outcomes"] if each["result"] == "failed"]
        assert failed == []
        for kind, count in EVERYTHING.items():
            assert first["summary"][kind]["created"] >= count, kind  # that server has some of its own
        new = Runs(ours)
        block = new.get("/block_types/slug/moved/block_documents/name/main", include_secrets="true")
        assert block["data"] == {"level": 1, "key": "hidden-value"}
        deployment, old = (each.get("/deployments/name/flow-1/nightly") for each in (new, Runs(theirs)))
        for member in ("parameters", "entrypoint", "work_pool_name", "work_queue_name", "tags"):
            assert deployment[member] == old[member], member
        assert [each["active"] for each in deployment["schedules"]] == [True]
        again = copy()
        assert [each for each in again["outcomes"] if each["result"] != "equal"] == []
