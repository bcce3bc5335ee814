"""A secret is kept and given back, and not shown to those who do not ask for it."""

from __future__ import annotations

import secrets

from pydantic import SecretStr

from sempre.canary.canary import Canary
from sempre.canary.stage import Stage
from sempre.sdk.blocks import Secret

__all__ = ["CANARY"]


def check(stage: Stage) -> None:
    value = secrets.token_urlsafe(32)
    id = Secret(value=SecretStr(value)).save(stage.name)
    stage.cleaner(f"block secret/{stage.name}", lambda: stage.client.delete_block_document(id))
    stage.expect(Secret.load(stage.name).get() == value, "the secret that was read is not the one that was kept")
    shown = stage.client.read_block_document(id, include_secrets=False)
    stage.expect(value not in str(shown.data), "the secret is shown to somebody who did not ask for it")


CANARY = Canary("secret-block", "a secret is given back as it was kept, and hidden otherwise", check)
