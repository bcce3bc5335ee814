"""What runs leave: artifacts, variables, events, secrets."""

import asyncio
from typing import Any

from sempre import flow, task
from sempre.artifacts import (
    Artifact,
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from sempre.blocks.system import Secret
from sempre.events import emit_event
from sempre.variables import Variable
from tests.conformance.sdk.tools import error_of, own


@task
def report(rows: list[dict[str, Any]]) -> None:
    create_table_artifact(rows, key=own("table"), description="Rows")
    create_table_artifact({"a": [1, 2], "b": [3.5, None]}, key=own("columns"))


@flow
def leaving() -> Any:
    create_markdown_artifact("# A title", key=own("text"), description="A text")
    create_markdown_artifact("# Another title", key=own("text"))
    create_link_artifact("https://example.com/report", link_text="The report", key=own("link"))
    create_link_artifact("https://example.com/bare", key=own("bare-link"))
    create_image_artifact("https://example.com/image.png", key=own("image"))
    progress = create_progress_artifact(progress=10.0, key=own("progress"))
    update_progress_artifact(artifact_id=progress, progress=80.0)
    create_markdown_artifact("without a key")
    report([{"a": 1, "b": "x"}, {"a": 2, "b": None}])
    newest: Any = Artifact.get(own("text"))
    return [
        newest.data,
        Artifact.get(own("nothing")),
        error_of(lambda: create_markdown_artifact("x", key="Not_A Key"))[0] != "nothing",
    ]


def artifacts() -> Any:
    return leaving()


@flow
async def async_leaving() -> Any:
    await create_markdown_artifact("# Later", key=own("later"))  # type: ignore[misc]
    return "left"


def async_artifacts() -> Any:
    return asyncio.run(async_leaving())


@flow
def setting() -> Any:
    name = own("variable").replace("-", "_")
    Variable.set(name, {"deep": [1, 2]}, tags=["a"])
    found = Variable.get(name)
    refused = error_of(lambda: Variable.set(name, 2))[0]
    Variable.set(name, "text", overwrite=True)
    changed = Variable.get(name)
    gone = Variable.unset(name)
    return [found, refused, changed, gone, Variable.get(name, default="fallback"), Variable.get(name)]


def variables() -> Any:
    return setting()


@task
def emits() -> None:
    emit_event(f"{own('order')}.shipped", resource={"prefect.resource.id": own("order.18")})


@flow
def emitting() -> Any:
    first = emit_event(
        f"{own('order')}.paid",
        resource={"prefect.resource.id": own("order.17"), "customer": "Ada"},
        related=[{"prefect.resource.id": own("shop.1"), "prefect.resource.role": "shop"}],
        payload={"amount": 3},
    )
    emits()
    return first is not None


def events() -> Any:
    return emitting()


@flow
def hiding() -> Any:
    Secret(value="hush").save(own("secret"), overwrite=True)
    found: Any = Secret.load(own("secret"))
    return [found.get(), "hush" in str(found)]


def secrets() -> Any:
    return hiding()


EXAMPLES = [artifacts, async_artifacts, variables, events, secrets]
