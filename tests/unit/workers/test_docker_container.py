"""Containers as the Engine's API is asked for them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sempre.workers.configuration import JobConfiguration
from sempre.workers.docker.container import Plan, container_name, plan
from sempre.workers.docker.errors import ContainerError
from sempre.workers.docker.events import container_event
from sempre.workers.docker.images import pull_policy
from sempre.workers.docker.options import options, size
from tests.support.jobs import job


def planned(of: JobConfiguration) -> Plan:
    return plan(of, start_id="start-1", image="the/image:1", command=("prefect", "flow-run", "execute"))


def env_of(made: Plan) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in made.body["Env"])


def test_the_default_container() -> None:
    of = job("docker", env={"PREFECT_API_URL": "http://127.0.0.1:4200/api"})
    made = planned(of)
    assert (made.name, made.image, made.more_networks) == ("brave-fox", "the/image:1", ())
    assert made.body["Cmd"] == ["prefect", "flow-run", "execute"]
    assert made.body["HostConfig"] == {
        "AutoRemove": False, "Binds": [], "Privileged": False, "ExtraHosts": ["host.docker.internal:host-gateway"],
    }  # fmt: skip
    assert env_of(made) == {
        "PREFECT__FLOW_RUN_ID": str(of.flow_run_id),
        "PREFECT_API_URL": "http://host.docker.internal:4200/api",
    }
    labels = made.body["Labels"]
    assert labels["io.prefect.flow-run-id"] == str(of.flow_run_id)
    assert (labels["io.prefect.flow-name"], labels["io.sempre.start"]) == ("my flow: nightly!", "start-1")


def test_every_variable_arrives() -> None:
    made = planned(
        job(
            "docker",
            {
                "name": "Nightly: load", "env": {"A": "1"}, "labels": {"team": "data"}, "command": "bash -c 'echo hi'",
                "image": "mine:2", "networks": ["one", "two"], "auto_remove": True, "volumes": ["/a:/b:ro"],
                "mem_limit": "512m", "memswap_limit": "1g", "privileged": True,
                "container_create_kwargs": {
                    "shm_size": "64m", "extra_hosts": {"db": "10.0.0.2"}, "environment": {"B": "2", "A": "no"},
                    "User": "1000", "HostConfig": {"CpuShares": 5}, "entrypoint": "/bin/tini --", "ports": {"80": 8080},
                },
            },
            env={"PREFECT_API_URL": "https://api.example/api"},
        )
    )  # fmt: skip
    assert (made.name, made.image, made.more_networks) == ("Nightly-load", "mine:2", ("two",))
    body, host = made.body, made.body["HostConfig"]
    assert (body["Cmd"], body["User"], body["Entrypoint"]) == (["bash", "-c", "echo hi"], "1000", ["/bin/tini", "--"])
    assert body["NetworkingConfig"] == {"EndpointsConfig": {"one": {}}}
    assert host == {
        "AutoRemove": True, "Binds": ["/a:/b:ro"], "Privileged": True, "Memory": 512 * 2**20, "MemorySwap": 2**30,
        "NetworkMode": "one", "ShmSize": 64 * 2**20, "ExtraHosts": ["db:10.0.0.2"], "CpuShares": 5,
        "PortBindings": {"80/tcp": [{"HostPort": "8080"}]},
    }  # fmt: skip
    assert (env_of(made)["A"], env_of(made)["B"]) == ("1", "2")
    assert env_of(made)["PREFECT_API_URL"] == "https://api.example/api"
    assert body["Labels"]["team"] == "data"


@pytest.mark.parametrize(
    ("url", "mode", "wanted"),
    [
        ("http://localhost:4200/api", None, "http://host.docker.internal:4200/api"),
        ("http://u:p@0.0.0.0/api", "bridge", "http://u:p@host.docker.internal/api"),
        ("http://[::1]:4200/api", None, "http://host.docker.internal:4200/api"),
        ("http://localhost:4200/api", "host", "http://localhost:4200/api"),
        ("http://localhost.example/api", None, "http://localhost.example/api"),
    ],
)
def test_how_a_container_reaches_the_api(url: str, mode: str | None, wanted: str) -> None:
    made = planned(job("docker", {"network_mode": mode}, env={"SEMPRE_API_URL": url}))
    assert env_of(made)["SEMPRE_API_URL"] == wanted
    assert ("ExtraHosts" in made.body["HostConfig"]) == ("internal" in wanted)


@pytest.mark.parametrize(
    "variables",
    [
        {"networks": ["a"], "network_mode": "host"},
        {"container_create_kwargs": {"frobnicate": 1}},
        {"mem_limit": "much"},
    ],
)
def test_what_is_no_container(variables: dict[str, Any]) -> None:
    with pytest.raises(ContainerError):
        planned(job("docker", variables))


def test_options_in_both_spellings() -> None:
    python = {"cpu_shares": 5, "read_only": True, "mem_limit": "1k", "devices": ["/dev/x:/dev/y"], "tmpfs": {"/t": ""}}
    device = {"PathOnHost": "/dev/x", "PathInContainer": "/dev/y", "CgroupPermissions": "rwm"}
    engine = {"CpuShares": 5, "ReadonlyRootfs": True, "Memory": 1024, "Devices": [device], "Tmpfs": {"/t": ""}}
    assert options(python) == options({"HostConfig": engine}) == options(engine)
    assert [size(text) for text in (7, "-1", "1.5g", "10MB", "3 KiB")] == [7, -1, 3 * 2**29, 10 * 2**20, 3 * 2**10]


@pytest.mark.parametrize(
    ("said", "image", "policy"),
    [
        (None, "x", "Always"), (None, "x:latest", "Always"), (None, "x:1", "IfNotPresent"),
        (None, "reg:5000/x", "Always"), (None, "x@sha256:1", "IfNotPresent"), ("never", "x", "Never"),
        ("IfPossible", "x:1", "IfPossible"),
    ],
)  # fmt: skip
def test_pull_policies(said: str | None, image: str, policy: str) -> None:
    assert pull_policy(said, image) == policy
    with pytest.raises(ContainerError):
        pull_policy("Sometimes", image)


@given(st.text(max_size=300))
def test_names_fit(text: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,199}", container_name(text))


def test_events_are_the_same_whoever_tells_them() -> None:
    state = {"StartedAt": "2026-01-01T00:00:01.123456789Z", "FinishedAt": "2026-01-01T00:00:02Z", "ExitCode": 3}
    shown = {"Id": "c1", "Name": "/fox", "Created": "2026-01-01T00:00:00.5Z", "State": state, "Config": {"Image": "x"}}
    told = [container_event(shown, status, [{"a": "b"}]) for status in ("created", "running", "exited")]
    assert told == [container_event(shown, status, [{"a": "b"}]) for status in ("created", "running", "exited")]
    assert [event["event"] for event in told] == [
        f"prefect.docker.container.{status}" for status in ("created", "running", "exited")
    ]
    assert [event["occurred"].microsecond for event in told] == [500_000, 123_456, 0]
    assert told[2]["resource"]["docker.exit-code"] == "3"
