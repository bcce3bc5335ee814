"""Settings: one frozen tree for clients, one documented `SEMPRE_` name each, the peer's names as aliases.

The machinery (fields, parsing, profiles, layers) also carries the server's own tree in `sempre.server.settings`.
"""

from sempre.settings.client import (
    ClientSettings,
    forget_settings,
    get_current_settings,
    resolve_client_settings,
    temporary_settings,
)
from sempre.settings.errors import SettingsError
from sempre.settings.listing import SettingInfo
from sempre.settings.profiles import Profiles, read_profiles, write_profiles

__all__ = [
    "ClientSettings",
    "Profiles",
    "SettingInfo",
    "SettingsError",
    "forget_settings",
    "get_current_settings",
    "read_profiles",
    "resolve_client_settings",
    "temporary_settings",
    "write_profiles",
]
