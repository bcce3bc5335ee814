"""The command line of the demo. Exit codes: 0 all went well, 1 something did not, 130 interrupted."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from examples.demo.errors import DemoError
from examples.demo.players import ROOT, players
from examples.demo.processes import Workplace
from examples.demo.show import Show
from examples.demo.stage import Stage
from examples.demo.story import DEPLOYMENT, FLOW, Story


def main() -> int:
    options = _arguments()
    show = Show()
    # SIGINT too: a shell's background job ignores it, and the worker, which inherits that, could then not be stopped.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with Workplace.claimed(options.directory.resolve()) as place:
            _play(show, place, options)
    except DemoError as error:
        show.failure(error)
        return 1
    except KeyboardInterrupt:
        show.note("interrupted, everything is stopped")
        return 130
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument(
        "--client-python", type=Path, help="Python of an environment with the stock client: play with that one instead"
    )
    parser.add_argument("--directory", type=Path, default=ROOT / ".demo", help="emptied first; logs and results")
    parser.add_argument("--keep", action="store_true", help="leave it all running until Ctrl-C")
    options = parser.parse_args()
    if options.client_python and not os.access(options.client_python, os.X_OK):
        parser.error(f"{options.client_python} cannot be run; `make demo STOCK=1` installs the client and names it")
    return options


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _play(show: Show, place: Workplace, options: argparse.Namespace) -> None:
    stage = Stage(show, place, players(options.client_python))
    try:
        Story(stage).play()
        _say_goodbye(show, stage, options)
        while options.keep:
            stage.check_alive("while it was kept running")
            time.sleep(1)
    finally:
        with show.waiting("stopping the worker and the server ..."):
            stage.stop()
    show.step("stopped the worker and the server")


def _say_goodbye(show: Show, stage: Stage, options: argparse.Namespace) -> None:
    """Where everything is and how to go on."""
    client = _short(Path(stage.players.command))
    lines = [
        f"[bold green]It played.[/] {show.elapsed:.0f} s. Logs and results: {_short(stage.place.root)}",
        f"API: [bold]{stage.api.url}[/]",
    ]
    if options.keep:
        lines += [
            "It all keeps running until Ctrl-C. In another terminal:",
            f"  export {stage.players.package.upper()}_API_URL={stage.api.url}",
            f"  {client} flow-run ls",
            f"  {client} deployment run {FLOW}/{DEPLOYMENT} --param pace=0 --watch",
        ]
    else:
        home = f"SEMPRE_HOME={_short(stage.place.server_home)}"
        lines += [
            "`make demo KEEP=1` leaves it running to look around. The same server with these runs in it, again:",
            f"  {home} {_short(Path(sys.executable))} -m sempre server start --port {stage.port}",
        ]
    for line in lines:
        show.console.print(line, highlight=False)


def _short(path: Path) -> Path:
    """The path as one would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
