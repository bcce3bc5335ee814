"""What values.yaml of a chart does not tell about its values: types behind null and empty, choices, open maps."""

from fnmatch import fnmatchcase
from typing import Any

__all__ = ["EXTRA", "OPEN", "OPEN_BESIDE", "OPEN_WHILE_OFF", "rule_of"]

Schema = dict[str, Any]

OPEN: Schema = {"type": "object"}
_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_OBJECTS: Schema = {"type": "array", "items": OPEN}
_STRINGS: Schema = {"type": "array", "items": {"type": "string"}}
_ENV: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "value": {"type": ["string", "number", "boolean"]},
            "valueFrom": OPEN,
        },
    },
}
_SECONDS: Schema = {"type": "number", "minimum": 0}
_PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
# Values files quote ports of other services as they like.
_PORT_TEXT: Schema = {"type": ["integer", "string"], "pattern": "^([0-9]{1,5})?$", "minimum": 1, "maximum": 65535}
_PERCENT: Schema = {"type": ["integer", "null"], "minimum": 1}
_COUNT_OR_PART: Schema = {"type": ["integer", "string", "null"], "pattern": "^[0-9]+%$", "minimum": 0}
_LEVEL: Schema = {"enum": ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]}
_PULL_POLICY: Schema = {"enum": ["", "Always", "IfNotPresent", "Never"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_REPLICAS: Schema = {"type": "integer", "minimum": 1}


def _maybe(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


_GROUP: Schema = {
    "type": "object",
    "required": ["services"],
    "additionalProperties": False,
    "properties": {
        "services": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        "replicaCount": _REPLICAS,
        "resources": OPEN,
        "env": _ENV,
        "podLabels": _TEXTS,
        "podAnnotations": _TEXTS,
        "affinity": OPEN,
        "nodeSelector": _TEXTS,
        "tolerations": _OBJECTS,
        "priorityClassName": {"type": "string"},
        "topologySpreadConstraints": _OBJECTS,
    },
}

# The first pattern that a dotted path matches counts.
_RULES: tuple[tuple[str, Schema], ...] = (
    ("backgroundServices.groups", {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z]([a-z0-9-]{0,10}[a-z0-9])?$"},
        "additionalProperties": _GROUP,
    }),
    ("pools", {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$"}},
        },
    }),
    ("*env", _ENV),
    ("*.loggingLevel", _LEVEL),
    ("*pullPolicy", _PULL_POLICY),
    ("*pullSecrets", {"type": "array", "items": {"type": ["string", "object"]}}),
    ("*replicaCount", _REPLICAS),
    ("*minReplicas", _REPLICAS),
    ("*maxReplicas", _REPLICAS),
    ("*.target[CM]*", _PERCENT),
    ("*.terminationGracePeriodSeconds", _maybe(_COUNT)),
    ("*.keepaliveTimeoutSeconds", _SECONDS),
    ("*.drainSeconds", _SECONDS),
    ("*.graceSeconds", _SECONDS),
    ("worker.podDisruptionBudget", OPEN),
    ("*.minAvailable", _COUNT_OR_PART),
    ("*.maxUnavailable", _COUNT_OR_PART),
    ("*.topologySpreadConstraints", _maybe(_OBJECTS)),
    ("migrations.command", {"type": "string", "minLength": 1}),
    ("*.command", _STRINGS),
    ("*.args", _STRINGS),
    ("*.extraArgs", _STRINGS),
    ("*.entrypoint", _STRINGS),
    ("*.restartPolicy", {"enum": ["Never", "OnFailure"]}),
    ("*.updateStrategy", OPEN),
    ("*ecurityContext", OPEN),
    ("*.resources", OPEN),
    ("*.lifecycle", OPEN),
    ("*.affinity", OPEN),
    ("*.behavior", OPEN),
    ("*.metrics", {"type": "array", "items": OPEN}),
    ("*.nodeSelector", _TEXTS),
    ("*nnotations", _TEXTS),
    ("*abels", _TEXTS),
    ("*.tolerations", _OBJECTS),
    ("*.extraContainers", _OBJECTS),
    ("*.extraInitContainers", _OBJECTS),
    ("*.extraVolumes", _OBJECTS),
    ("*.extraVolumeMounts", _OBJECTS),
    ("*.extraPorts", _OBJECTS),
    ("*.extraRules", _OBJECTS),
    ("*.extraPermissions", _OBJECTS),
    ("*.certificateRefs", _OBJECTS),
    ("networkPolicy.*From", _OBJECTS),
    ("networkPolicy.egress", _OBJECTS),
    ("extraObjects", {"type": "array", "items": {"type": ["object", "string"]}}),
    ("externalDatabase.port", _PORT_TEXT),
    ("externalDatabase.poolSize", {"type": ["integer", "null"], "minimum": 1}),
    ("externalDatabase.poolOverflow", {"type": ["integer", "null"], "minimum": 0}),
    ("secret.port", _PORT_TEXT),
    ("*.redis.port", _PORT_TEXT),
    ("*.redis.db", {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 0}),
    ("*.accessModes", {"type": "array", "items": {"type": "string"}, "minItems": 1}),
    ("service.type", {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]}),
    ("service.nodePort", {"type": ["integer", "string", "null"], "pattern": "^[0-9]*$", "maximum": 65535}),
    ("service.sessionAffinity", {"enum": ["", "None", "ClientIP"]}),
    ("service.externalTrafficPolicy", {"enum": ["", "Cluster", "Local"]}),
    ("service.ipFamilyPolicy", {"enum": ["", "SingleStack", "PreferDualStack", "RequireDualStack"]}),
    ("service.ipFamilies", _STRINGS),
    ("service.aliases", _STRINGS),
    ("service.loadBalancerSourceRanges", _STRINGS),
    ("service.port", _PORT),
    ("service.targetPort", _PORT),
    ("gateway.listeners.*.port", _PORT),
    ("backgroundServices.healthPort", _PORT),
    ("ingress.servicePort", {"type": ["string", "integer"]}),
    ("ingress.host.pathType", {"enum": ["Exact", "Prefix", "ImplementationSpecific"]}),
    ("ingress.extraHosts", {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {key: {"type": "string"} for key in ("name", "path", "pathType")},
        },
    }),
    ("ingress.extra*", _OBJECTS),
    ("httproute.enabled", {"type": ["boolean", "null"]}),
    ("httproute.hostnames", _STRINGS),
    ("httproute.path", {"type": "string", "pattern": "^/"}),
    ("server.apiBasePath", {"type": "string", "pattern": "^/"}),
    ("domain", {"type": "string", "pattern": "^([A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+)?$"}),
    ("worker.apiConfig", {"enum": ["selfHostedServer", "cloud", "customerManagedCloud"]}),
    ("*.jobApiKeyPropagation", {"enum": ["secretRef", "autoSecret", "envVar"]}),
    ("worker.config.installPolicy", {"enum": ["always", "if-not-present", "never", "prompt"]}),
    ("worker.config.limit", {"type": ["integer", "null"], "minimum": 1}),
    ("worker.config.queryInterval", {"type": "number", "exclusiveMinimum": 0}),
    ("worker.config.prefetchSeconds", _SECONDS),
    ("worker.config.name", {"type": ["string", "null"]}),
    ("worker.config.jobNamespace", {"type": ["string", "null"]}),
    ("worker.config.workQueues", _STRINGS),
    ("worker.config.baseJobTemplate.configuration", {"type": ["string", "object", "null"]}),
)  # fmt: skip

# Names that are taken without having a default: removed ones, which the chart refuses with their successors.
EXTRA: dict[tuple[str, str], Schema] = {
    ("sempre-server", "server"): {name: {} for name in ("prefectApiUrl", "prefectApiHost", "prefectUiUrl")},
    ("sempre-server", "server.uiConfig"): {name: {} for name in ("prefectApiUrl", "prefectApiHost", "prefectUiUrl")},
    ("sempre-worker", ""): {"global": OPEN},
}
# The global values of a chart that this one is part of are its own business.
OPEN_BESIDE = {("sempre-server", "global")}
# Values of existing releases describe services there that they do not start.
OPEN_WHILE_OFF = {("sempre-server", "postgresql"), ("sempre-server", "redis")}


def rule_of(chart: str, path: tuple[str, ...]) -> Schema | None:
    """What is known of a value beside its default, or None."""
    dotted = ".".join(path)
    found = next((schema for pattern, schema in _RULES if fnmatchcase(dotted, pattern)), None)
    return found if path else None
