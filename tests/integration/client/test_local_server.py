"""No API configured: a local server is started, once, and found again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sempre.client import LocalServerError, get_client
from sempre.settings import ClientSettings
from sempre.settings.client import LocalServerSettings
from tests.support.servers import SEMPRE, sempre_environment

SCRIPT = """
from sempre.client import get_client
client = get_client(sync_client=True)
client.create_flow_from_name("here")
print(client.api_url)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "h"
    yield home
    subprocess.run([*SEMPRE, "server", "stop"], env=sempre_environment(home, None, None), timeout=90, check=True,
                   capture_output=True)  # fmt: skip


def start_script(home: Path) -> subprocess.Popen[str]:
    environment = sempre_environment(home, None, {"SEMPRE_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "150"})
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_scripts_at_once_end_up_with_one_server(home: Path) -> None:
    both = [start_script(home) for _ in range(2)]
    outcomes = [script.communicate(timeout=200) for script in both]
    assert [script.returncode for script in both] == [0, 0], outcomes
    urls = {out.strip() for out, _ in outcomes}
    assert len(urls) == 1
    noted = json.loads((home / "local-server.json").read_text())
    assert noted == {"url": urls.pop(), "pid": int((home / "server.pid").read_text())}
    os.kill(noted["pid"], 0)
    (home / "local-server.json").unlink()  # as if the server had been started by hand
    out, err = start_script(home).communicate(timeout=200)
    assert out.strip() == noted["url"], err


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    settings = ClientSettings(home=tmp_path, local_server=LocalServerSettings(enabled=False))
    with pytest.raises(LocalServerError, match="Set SEMPRE_API_URL"):
        get_client(sync_client=True, settings=settings).count_flows()
    assert not list(tmp_path.iterdir())
