"""Every service is switched by its own variable, under each name that operators know."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sempre.server.services.registry import SERVICES, enabled_services
from sempre.server.settings import describe, load_settings

# `DB_VACUUM_ENABLED` names what is removed; `false` means "events only" to existing manifests.
SWITCHES = sorted({service.environment_variable for service in SERVICES if service.section != "db_vacuum"})
INFOS = {info.name: info for info in describe()}
CASES = [(switch, name) for switch in SWITCHES for name in (switch, *INFOS[switch].aliases)]


def enabled(environment: Mapping[str, str]) -> set[str]:
    return {service.name for service in enabled_services(load_settings(environment))}


@pytest.mark.parametrize(("switch", "name"), CASES)
def test_a_switch_switches_its_services_and_no_others(switch: str, name: str) -> None:
    own = {service.name for service in SERVICES if service.environment_variable == switch}
    on = enabled({})
    assert own & on, "something is on by default"
    assert enabled({name: "false"}) == on - own


def test_the_scheduler_alone_is_something_to_start() -> None:
    vacuum = {"db_vacuum"}
    others = {switch: "false" for switch in SWITCHES if "SCHEDULER" not in switch}
    assert enabled(others) - vacuum == {"scheduler", "recent_deployments_scheduler"}
    assert enabled(dict.fromkeys(SWITCHES, "false")) == vacuum


@pytest.mark.parametrize("name", ["SEMPRE_SERVER_WEBSERVER_ONLY", "PREFECT__SERVER_WEBSERVER_ONLY"])
def test_the_web_server_alone(name: str) -> None:
    assert not load_settings({}).webserver_only
    assert load_settings({name: "1"}).webserver_only
