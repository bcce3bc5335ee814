"""Variables whose values are kept in secrets instead of in the job. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sempre.workers.kubernetes.names import object_name
from sempre.workers.kubernetes.settings import KubernetesWorkerSettings

__all__ = ["SecretEnv", "env_secret", "made_secrets", "refer_to_secrets", "secret_envs"]

API_KEYS = ("SEMPRE_API_KEY", "PREFECT_API_KEY")
AUTH_STRINGS = ("SEMPRE_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")


@dataclass(frozen=True, kw_only=True)
class SecretEnv:
    """Where the value of a variable is. `made`: the worker creates that secret."""

    secret: str
    key: str
    made: bool = False


def secret_envs(settings: KubernetesWorkerSettings, *, api_url: str, work_pool_name: str) -> dict[str, SecretEnv]:
    """Variable -> the secret that has its value, as the settings say."""
    # The server's address is part of the name: workers of two servers may share a namespace.
    ending = hashlib.sha256(api_url.encode()).hexdigest()[:8]
    found: dict[str, SecretEnv] = {}
    for names, kind, create, name, key in (
        (API_KEYS, "api-key", settings.create_secret_for_api_key, settings.api_key_secret_name,
         settings.api_key_secret_key),
        (AUTH_STRINGS, "api-auth", settings.create_secret_for_api_auth_string, settings.api_auth_string_secret_name,
         settings.api_auth_string_secret_key),
    ):  # fmt: skip
        if name or create:
            secret = name or f"sempre-{object_name(f'{work_pool_name}', 30)}-{kind}-{ending}"
            found |= dict.fromkeys(names, SecretEnv(secret=secret, key=key, made=create and not name))
    return found


def refer_to_secrets(
    env: Mapping[str, str], said: Mapping[str, Any], secrets: Mapping[str, SecretEnv]
) -> list[dict[str, Any]]:
    """The environment as a container lists it. What the job variables themselves say (`said`) is left as it is: it is
    not the worker's own credential."""
    return [
        {"name": name, "value": value}
        if name not in secrets or name in said
        else {"name": name, "valueFrom": {"secretKeyRef": {"name": secrets[name].secret, "key": secrets[name].key}}}
        for name, value in env.items()
    ]


def made_secrets(env: Mapping[str, str], secrets: Mapping[str, SecretEnv], namespace: str) -> list[dict[str, Any]]:
    """The secrets that the worker makes itself, for the values in `env`."""
    made: dict[str, dict[str, Any]] = {}
    for name, where in secrets.items():
        if where.made and env.get(name):
            made[where.secret] = _secret(where.secret, namespace, {where.key: env[name]})
    return list(made.values())


def env_secret(job_metadata: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    """A secret with the whole environment of a job, under the job's name."""
    return _secret(job_metadata["name"], job_metadata["namespace"], env, job_metadata["labels"])


def _secret(
    name: str, namespace: str, values: Mapping[str, str], labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "sempre", **(labels or {})},
        },
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
