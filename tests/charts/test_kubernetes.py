"""Every object is one that Kubernetes takes, from 1.29 to the newest whose schemas there are."""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from tests.charts.cases import CASES, Case, objects_of

Json = dict[str, Any]
SCHEMAS = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"
OLDEST = (1, 29)


def _versions() -> list[tuple[int, int]]:
    names = (re.fullmatch(r"v(\d+)\.(\d+)\.\d+-local-strict", folder.name) for folder in SCHEMAS.iterdir())
    return sorted((int(name[1]), int(name[2])) for name in names if name and (int(name[1]), int(name[2])) >= OLDEST)


VERSIONS = _versions()


HOME = "https://kubernetes.io/api"


@functools.cache
def _registry(version: tuple[int, int]) -> jsonschema_rs.Registry:
    definitions = json.loads((_folder(version) / "_definitions.json").read_text())
    return jsonschema_rs.Registry([(f"{HOME}/_definitions.json", definitions)])


def _folder(version: tuple[int, int]) -> Any:
    return SCHEMAS / f"v{version[0]}.{version[1]}.0-local-strict"


@functools.cache
def _validator(version: tuple[int, int], api_version: str, kind: str) -> jsonschema_rs.Draft202012Validator:
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    schema = json.loads((_folder(version) / f"{kind.lower()}-{group}.json").read_text())
    # Schemas of kinds refer to the definitions by a path.
    return jsonschema_rs.Draft202012Validator({"$id": f"{HOME}/kind.json", **schema}, registry=_registry(version))


def _string_map() -> Json:
    return {"type": "object", "additionalProperties": {"type": "string"}}


# Kinds that are not of Kubernetes itself: the part of their definitions that the charts write, closed.
_CUSTOM: dict[tuple[str, str], Json] = {
    ("gateway.networking.k8s.io/v1", "Gateway"): {
        "gatewayClassName": {"type": "string", "minLength": 1},
        "listeners": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "port", "protocol"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "port": {"type": "integer"},
                    "protocol": {"enum": ["HTTP", "HTTPS"]},
                    "tls": {"type": "object", "required": ["mode", "certificateRefs"]},
                },
            },
        },
    },
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): {
        "parentRefs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {name: {"type": "string"} for name in ("name", "namespace", "sectionName")},
            },
        },
        "hostnames": {"type": "array", "items": {"type": "string"}},
        "rules": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "matches": {"type": "array"},
                    "filters": {"type": "array"},
                    "backendRefs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name", "port"],
                            "additionalProperties": False,
                            "properties": {"name": {"type": "string"}, "port": {"type": "integer"}},
                        },
                    },
                },
            },
        },
    },
    ("monitoring.coreos.com/v1", "ServiceMonitor"): {
        "selector": {"type": "object", "properties": {"matchLabels": _string_map()}},
        "namespaceSelector": {"type": "object"},
        "endpoints": {"type": "array", "items": {"type": "object", "required": ["port", "path", "interval"]}},
    },
    ("monitoring.coreos.com/v1", "PrometheusRule"): {
        "groups": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["name", "rules"]}},
    },
}


def _custom(thing: Json) -> Iterator[str]:
    spec = _CUSTOM.get((thing["apiVersion"], thing["kind"]))
    if spec is None:
        yield "nobody knows this kind"
        return
    closed = {"type": "object", "additionalProperties": False, "properties": spec}
    yield from (error.message for error in jsonschema_rs.iter_errors(closed, thing["spec"]))


def _problems(thing: Json, version: tuple[int, int]) -> Iterator[str]:
    try:
        validator = _validator(version, thing["apiVersion"], thing["kind"])
    except FileNotFoundError:
        yield from _custom(thing)
        return
    for error in validator.iter_errors(thing):
        yield f"{'/'.join(map(str, error.instance_path))}: {error.message[:300]}"


def _seen_once() -> list[Json]:
    """The objects of all cases, each once."""
    found = {json.dumps(thing, sort_keys=True): thing for case in CASES for thing in objects_of(case)}
    return list(found.values())


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: f"{version[0]}.{version[1]}")
def test_kubernetes_takes_every_object(version: tuple[int, int]) -> None:
    problems = [
        f"{thing['kind']} {thing['metadata']['name']}: {problem}"
        for thing in _seen_once()
        for problem in _problems(thing, version)
    ]
    assert not problems, "\n".join(problems[:20])


def test_the_schemas_would_find_something() -> None:
    wrong = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replica": "2"}}
    assert any("replica" in problem for problem in _problems(wrong, VERSIONS[0]))
    assert VERSIONS[0] == OLDEST
    assert len(VERSIONS) > 5


@pytest.mark.parametrize("case", CASES, ids=str)
def test_names_fit_together(case: Case) -> None:
    """Services find pods, pods find accounts, claims and what the release itself keeps in Secrets."""
    things = objects_of(case)
    listed = [(thing["kind"], thing["metadata"].get("namespace"), thing["metadata"]["name"]) for thing in things]
    assert len(set(listed)) == len(listed), "two objects of one name"
    names = {(kind, name) for kind, _, name in listed}
    pods = [thing["spec"]["template"] for thing in things if thing["kind"] in ("Deployment", "StatefulSet", "Job")]
    for thing in things:
        if thing["kind"] == "Service":
            chosen = thing["spec"]["selector"].items()
            ports = [pod for pod in pods if chosen <= pod["metadata"]["labels"].items()]
            assert ports, thing["metadata"]["name"]
            wanted = {port["targetPort"] for port in thing["spec"]["ports"] if isinstance(port["targetPort"], str)}
            for pod in ports:
                assert wanted <= {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    for thing in things:
        if thing["kind"] == "Deployment":
            own = thing["spec"]["selector"]["matchLabels"].items()
            others = [o for o in things if o is not thing and o["kind"] == "Deployment"]
            assert own <= thing["spec"]["template"]["metadata"]["labels"].items()
            assert not any(own <= other["spec"]["template"]["metadata"]["labels"].items() for other in others)
    for pod in pods:
        account = pod["spec"].get("serviceAccountName")
        if account and account.startswith("test-"):
            assert ("ServiceAccount", account) in names


@pytest.mark.parametrize("case", CASES, ids=str)
def test_pods_pass_the_restricted_profile(case: Case) -> None:
    for thing in objects_of(case):
        if thing["kind"] not in ("Deployment", "StatefulSet", "Job"):
            continue
        spec = thing["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["enableServiceLinks"] is False
        own = [c for c in spec["containers"] if c["name"] not in ("tail",)]
        for container in own:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_jobs_find_the_password_in_their_own_namespace() -> None:
    case = next(case for case in CASES if str(case) == "sempre-worker-pools")
    secrets = {thing["metadata"]["namespace"] for thing in objects_of(case) if thing["kind"] == "Secret"}
    roles = {thing["metadata"]["namespace"] for thing in objects_of(case) if thing["kind"] == "Role"}
    assert secrets == {"flows", "runs"}
    assert roles <= secrets
