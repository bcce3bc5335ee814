"""The flow that a process worker runs and that the forms of the UI are drawn for."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import time
from datetime import datetime
from typing import Literal

from prefect import flow, task
from pydantic import BaseModel


class Hall(BaseModel):
    """A place to play."""

    name: str = "Musikverein"
    seats: int = 1744


@task
def tune(instrument: str) -> str:
    return f"{instrument} tuned"


@flow(name="orchestra", log_prints=True)
def orchestra(
    instrument: Literal["violin", "cello"] = "violin",
    players: int = 2,
    linger: float = 0,
    movements: list[str] | None = None,
    when: datetime | None = None,
    hall: Hall | None = None,
) -> str:
    """Plays what it is given."""
    print(f"the orchestra plays {instrument}")
    time.sleep(linger)
    return str(tune(instrument))
