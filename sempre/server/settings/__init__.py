"""Settings of the server: one frozen tree, one documented `SEMPRE_` name each, the peer's names as aliases."""

from sempre.server.settings.database import DatabaseSettings
from sempre.server.settings.load import load_settings, resolve_settings
from sempre.server.settings.sections import ApiSettings
from sempre.server.settings.services import ServicesSettings
from sempre.server.settings.tree import Settings, describe
from sempre.settings.errors import SettingsError
from sempre.settings.layers import Resolution
from sempre.settings.listing import SettingInfo
from sempre.settings.profiles import Profiles, read_profiles, write_profiles

__all__ = [
    "ApiSettings",
    "DatabaseSettings",
    "Profiles",
    "Resolution",
    "ServicesSettings",
    "SettingInfo",
    "Settings",
    "SettingsError",
    "describe",
    "load_settings",
    "read_profiles",
    "resolve_settings",
    "write_profiles",
]
