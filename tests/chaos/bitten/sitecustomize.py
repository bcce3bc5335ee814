"""Loaded by every Python that has this directory on its PYTHONPATH: switches one defence of the server off.

Only bites.py puts it there, for the servers under test; the product knows nothing of it.
"""

import os

_NAME = os.environ.get("CHAOS_DEFENCE_OFF")
if _NAME:
    from tests.chaos.defences import switch_off

    switch_off(_NAME)
