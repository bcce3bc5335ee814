"""The manifests of jobs: what operators set is there, and Kubernetes takes all of it."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sempre.workers.configuration import JobConfiguration
from sempre.workers.kubernetes.errors import ManifestError
from sempre.workers.kubernetes.manifest import Plan, plan
from sempre.workers.kubernetes.names import fit_labels, label_value, name_prefix
from sempre.workers.kubernetes.secrets import SecretEnv, made_secrets, secret_envs
from sempre.workers.kubernetes.settings import KubernetesWorkerSettings, resolve
from tests.support.jobs import default_template, job
from tests.support.kube_schema import NEWEST, OLDEST, problems

SECRETS = {"PREFECT_API_KEY": SecretEnv(secret="creds", key="key")}


def planned(of: JobConfiguration, secrets: dict[str, SecretEnv] | None = None) -> Plan:
    made = plan(
        of,
        suffix="x7k2z",
        start_id="s1",
        image="the/image:1",
        command=("prefect", "flow-run", "execute"),
        secret_envs=secrets or {},
    )
    for version in (OLDEST, NEWEST):
        assert problems(made.job, version) == []
    return made


def container(made: Plan) -> dict[str, Any]:
    found: dict[str, Any] = made.job["spec"]["template"]["spec"]["containers"][0]
    return found


def env_of(made: Plan) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container(made)["env"]}


def test_the_default_job() -> None:
    of = job("kubernetes", env={"PREFECT_API_URL": "http://api"})
    made = planned(of)
    metadata, spec = made.job["metadata"], made.job["spec"]
    assert (metadata["generateName"], metadata["name"], metadata["namespace"]) == (
        "brave-fox-", "brave-fox-x7k2z", "default",
    )  # fmt: skip
    assert {key: spec[key] for key in ("backoffLimit", "parallelism", "completions")} == {
        "backoffLimit": 0, "parallelism": 1, "completions": 1,
    }  # fmt: skip
    assert "ttlSecondsAfterFinished" not in spec
    pod = spec["template"]["spec"]
    assert (pod["restartPolicy"], "serviceAccountName" in pod) == ("Never", False)
    assert container(made) == {
        "name": "prefect-job",
        "image": "the/image:1",
        "imagePullPolicy": "IfNotPresent",
        "args": ["prefect", "flow-run", "execute"],
        "env": [
            {"name": "PREFECT__FLOW_RUN_ID", "value": str(of.flow_run_id)},
            {"name": "PREFECT_API_URL", "value": "http://api"},
            {"name": "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR", "value": "reschedule"},
        ],
        "resources": {},
    }
    for labels in (metadata["labels"], spec["template"]["metadata"]["labels"]):
        assert labels["prefect.io/flow-run-id"] == str(of.flow_run_id)
        assert labels["prefect.io/flow-name"] == "my-flow-nightly"
        assert labels["app.kubernetes.io/managed-by"] == "sempre"


def test_every_variable_arrives() -> None:
    made = planned(
        job(
            "kubernetes",
            {
                "name": "Nightly Load", "env": {"A": "1", "PREFECT_API_URL": None}, "labels": {"team/x": "data & co"},
                "annotations": {"note": "any text: at all"}, "command": "bash -c 'echo hi'", "image": "mine:2",
                "namespace": "flows", "service_account_name": "runner", "image_pull_policy": "Always",
                "backoff_limit": 3, "finished_job_ttl": 60, "job_watch_timeout_seconds": 3600, "cpu_request": "500m",
                "memory_limit": "1Gi",
            },
            env={"PREFECT_API_URL": "http://api"},
        )
    )  # fmt: skip
    metadata, spec = made.job["metadata"], made.job["spec"]
    assert (made.namespace, metadata["namespace"], metadata["generateName"]) == ("flows", "flows", "nightly-load-")
    assert metadata["labels"]["team/x"] == spec["template"]["metadata"]["labels"]["team/x"] == "data-co"
    assert metadata["annotations"] == {"note": "any text: at all", "sempre.io/start": "s1"}
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"], spec["activeDeadlineSeconds"]) == (3, 60, 3600)
    assert spec["template"]["spec"]["serviceAccountName"] == "runner"
    assert container(made)["args"] == ["bash", "-c", "echo hi"]
    assert container(made)["imagePullPolicy"] == "Always"
    assert container(made)["resources"] == {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}}
    env = env_of(made)
    assert (env["A"], "PREFECT_API_URL" in env) == ("1", False)
    assert env["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "relinquish"


def test_what_a_template_writes_down_itself_stays() -> None:
    configuration = default_template("kubernetes")["job_configuration"]
    pod = configuration["job_manifest"]["spec"]["template"]["spec"]
    pod["containers"][0] |= {
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "command": ["/own/entrypoint"],
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    del pod["containers"][0]["args"]
    pod["volumes"] = [{"name": "scratch", "emptyDir": {}}]
    pod["containers"].insert(0, {"name": "sidecar", "image": "proxy:1"})
    made = planned(job("kubernetes", {"env": {"A": "from the variables"}}, configuration=configuration))
    sidecar, ours = made.job["spec"]["template"]["spec"]["containers"]
    assert sidecar == {"name": "sidecar", "image": "proxy:1"}
    assert ("args" in ours, ours["command"]) == (False, ["/own/entrypoint"])
    assert [entry for entry in ours["env"] if entry["name"] == "A"] == [
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    ]
    assert made.job["spec"]["template"]["spec"]["volumes"] == [{"name": "scratch", "emptyDir": {}}]


def test_credentials_are_referred_to() -> None:
    settings = resolve(
        {
            "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_KEY_SECRET_NAME": "creds",
            "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_KEY_SECRET_KEY": "key",
            "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_CREATE_SECRET_FOR_API_AUTH_STRING": "true",
        }
    ).worker
    secrets = secret_envs(settings, api_url="http://api", work_pool_name="My Pool")
    own = {"PREFECT_API_KEY": "top secret", "PREFECT_API_AUTH_STRING": "user:pass"}
    of = job("kubernetes", env=own)
    made = planned(of, secrets)
    assert env_of(made)["PREFECT_API_KEY"] == {"secretKeyRef": {"name": "creds", "key": "key"}}
    [secret] = made_secrets(of.env, secrets, made.namespace)
    assert problems(secret) == []
    name, value = secret["metadata"]["name"], secret["data"]["value"]
    assert env_of(made)["PREFECT_API_AUTH_STRING"] == {"secretKeyRef": {"name": name, "key": "value"}}
    assert (name.startswith("sempre-my-pool-api-auth-"), base64.b64decode(value)) == (True, b"user:pass")
    assert "top secret" not in str(made.job)
    # A key that the job variables give is not the worker's.
    theirs = planned(job("kubernetes", {"env": {"PREFECT_API_KEY": "theirs"}}, env=own), secrets)
    assert env_of(theirs)["PREFECT_API_KEY"] == "theirs"
    assert secret_envs(KubernetesWorkerSettings(), api_url="", work_pool_name="p") == {}


def test_the_whole_environment_as_a_secret() -> None:
    configuration = {**default_template("kubernetes")["job_configuration"], "store_env_as_secret": True}
    made = planned(job("kubernetes", {"env": {"A": "hush"}}, configuration=configuration), SECRETS)
    assert made.secret is not None
    assert problems(made.secret) == []
    assert container(made)["envFrom"] == [{"secretRef": {"name": made.secret["metadata"]["name"]}}]
    assert base64.b64decode(made.secret["data"]["A"]) == b"hush"
    assert "hush" not in str(made.job)


@pytest.mark.parametrize(
    ("manifest", "where"),
    [
        (None, "an object"),
        ({"kind": "Pod"}, "kind"),
        ({"apiVersion": "v1"}, "apiVersion"),
        ({"spec": {"template": {"spec": {"containers": []}}}}, "containers"),
        ({"spec": {"template": {}}}, "spec.template.spec"),
        ({"spec": {"template": {"spec": {"containers": ["x"]}}}}, "containers[0]"),
    ],
)
def test_a_template_that_describes_no_job(manifest: Any, where: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(where)):
        planned(job("kubernetes", configuration={"job_manifest": manifest}))


VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
KEY = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,51}-")


@given(st.text(max_size=300), st.text(max_size=100))
def test_labels_and_names_fit(text: str, other: str) -> None:
    assert VALUE.fullmatch(label_value(text))
    assert all(KEY.fullmatch(key) for key in fit_labels({text: "", f"{text}/{other}": other}))
    assert NAME.fullmatch(name_prefix(text, other))
    assert label_value(label_value(text)) == label_value(text)
