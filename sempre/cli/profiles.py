"""The file of profiles, as commands change it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sempre.cli.errors import CliError
from sempre.settings.client import resolve_client_settings
from sempre.settings.profiles import DEFAULT_PROFILE, Profiles, read_profiles, write_profiles


@dataclass
class ProfilesFile:
    """What is in the file, and where it is."""

    path: Path
    profiles: Profiles
    used: str
    """The profile in force here: the active one, unless the environment or --profile names another."""

    def save(self) -> None:
        write_profiles(self.path, self.profiles)

    def table(self, name: str) -> dict[str, str]:
        """Settings of a profile. The default one is there before anybody wrote it. Raises CliError."""
        if name == DEFAULT_PROFILE:
            self.profiles.values.setdefault(name, {})
        if name not in self.profiles.values:
            raise CliError(f"Profile {name!r} not found. `sempre profile ls` lists what there is.")
        return self.profiles.values[name]


def open_profiles() -> ProfilesFile:
    resolution = resolve_client_settings()
    found = read_profiles(resolution.profiles_path)
    if not found.values:
        found.values[DEFAULT_PROFILE] = {}
    return ProfilesFile(resolution.profiles_path, found, resolution.profile)


def change_profile(settings: dict[str, str]) -> str:
    """Write settings into the profile in force; returns its name."""
    file = open_profiles()
    file.profiles.values.setdefault(file.used, {}).update(settings)
    file.save()
    return file.used
