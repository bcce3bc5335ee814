"""The one error of this package."""


class SettingsError(ValueError):
    """The configuration cannot be used. The message names each setting at fault and what it accepts."""
