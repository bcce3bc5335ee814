"""Makes the automations that come with the server, as the settings ask for them."""

import logging
from weakref import WeakKeyDictionary

from sempre.db.pool import Database
from sempre.server.automations.presets import apply_presets
from sempre.server.scope import Scope

__all__ = ["run"]

log = logging.getLogger("sempre.services")

# Settings do not change while a process lives: it applies them once. That also keeps replicas of which some have other
# settings, as when they are restarted one by one, from undoing each other's work again and again.
_applied: WeakKeyDictionary[Database, bool] = WeakKeyDictionary()


async def run(scope: Scope) -> None:
    """Once the block that is to be notified is there."""
    if _applied.get(scope.db):
        return
    is_first = scope.db not in _applied
    _applied[scope.db] = await apply_presets(scope)
    if is_first and not _applied[scope.db]:
        log.warning("presets wait for the block %s, which does not exist", scope.settings.services.presets.notify)
