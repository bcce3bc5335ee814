{{/*
Environment. What has a name in existing manifests is written under it: an entry of the same name in `env` then replaces
it, and one under a SEMPRE_ name wins in the server, so that whoever sets something gets it.
*/}}

{{/* A list of entries in which the last one of a name stands: list <entries> <entries> ... */}}
{{- define "sempre-server.env.merged" -}}
{{- $entries := dict -}}
{{- $order := list -}}
{{- range . -}}
{{- range . -}}
{{- $entry := . -}}
{{- if hasKey . "value" }}{{ $entry = merge (dict "value" (toString .value)) . }}{{ end -}}
{{- $_ := set $entries .name $entry -}}
{{- $order = append (without $order .name) .name -}}
{{- end -}}
{{- end -}}
{{- range $order }}
{{ list (get $entries .) | toYaml }}
{{- end }}
{{- end -}}

{{/* Entries given in values, whose texts may be templates: dict "root" $ "env" <list>. */}}
{{- define "sempre-server.env.given" -}}
{{- with .env }}
{{- tpl (toYaml .) $.root }}
{{- end }}
{{- end -}}

{{- define "sempre-server.env.from" -}}
{{- if or .extraEnvVarsCM .extraEnvVarsSecret }}
envFrom:
  {{- with .extraEnvVarsCM }}
  - configMapRef:
      name: {{ . }}
  {{- end }}
  {{- with .extraEnvVarsSecret }}
  - secretRef:
      name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "sempre-server.env.home" -}}
- name: HOME
  value: /home/prefect
{{- end -}}

{{- define "sempre-server.env.api" -}}
{{ include "sempre-server.env.home" . }}
- name: PREFECT_DEBUG_MODE
  value: {{ .Values.server.debug | quote }}
- name: PREFECT_LOGGING_SERVER_LEVEL
  value: {{ .Values.server.loggingLevel | quote }}
- name: PREFECT_SERVER_API_BASE_PATH
  value: {{ include "sempre-server.basePath" . | quote }}
- name: PREFECT_SERVER_API_HOST
  value: 0.0.0.0
- name: PREFECT_SERVER_API_PORT
  value: {{ .Values.service.targetPort | toString | quote }}
{{- if not .Values.server.uiConfig.enabled }}
- name: PREFECT_UI_ENABLED
  value: "false"
{{- end }}
{{- with include "sempre-server.uiApiUrl" . }}
- name: PREFECT_UI_API_URL
  value: {{ . | quote }}
{{- end }}
{{- with default (ternary (printf "https://app.%s" .Values.domain) "" (ne .Values.domain "")) .Values.server.uiConfig.uiUrl }}
- name: PREFECT_UI_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.server.uiConfig.prefectUiStaticDirectory }}
- name: PREFECT_UI_STATIC_DIRECTORY
  value: {{ . | quote }}
{{- end }}
- name: PREFECT_SERVER_API_KEEPALIVE_TIMEOUT
  value: {{ .Values.server.keepaliveTimeoutSeconds | quote }}
- name: SEMPRE_SERVER_API_SHUTDOWN_DRAIN_SECONDS
  value: {{ .Values.server.shutdown.drainSeconds | quote }}
- name: SEMPRE_SERVER_API_SHUTDOWN_GRACE_SECONDS
  value: {{ .Values.server.shutdown.graceSeconds | quote }}
{{- if not .Values.backgroundServices.runAsSeparateDeployment }}
- name: SEMPRE_SERVER_SERVICES_DRAIN_SECONDS
  value: {{ .Values.backgroundServices.drainSeconds | quote }}
{{- end }}
{{- with .Values.server.forwardedAllowIps }}
- name: FORWARDED_ALLOW_IPS
  value: {{ . | quote }}
{{- end }}
{{- if .Values.server.csrfProtection.enabled }}
- name: PREFECT_SERVER_CSRF_PROTECTION_ENABLED
  value: "true"
{{- end }}
{{- end -}}

{{- define "sempre-server.uiApiUrl" -}}
{{- if .Values.server.uiConfig.prefectUiApiUrl -}}
{{- tpl .Values.server.uiConfig.prefectUiApiUrl . -}}
{{- else if .Values.domain -}}
https://api.{{ .Values.domain }}{{ include "sempre-server.basePath" . }}
{{- end -}}
{{- end -}}

{{- define "sempre-server.env.services" -}}
{{ include "sempre-server.env.home" . }}
- name: PREFECT_DEBUG_MODE
  value: {{ .Values.backgroundServices.debug | quote }}
- name: PREFECT_LOGGING_SERVER_LEVEL
  value: {{ .Values.backgroundServices.loggingLevel | quote }}
- name: PREFECT_UI_ENABLED
  value: "false"
{{- with default (ternary (printf "https://app.%s" .Values.domain) "" (ne .Values.domain "")) .Values.server.uiConfig.uiUrl }}
- name: PREFECT_UI_URL
  value: {{ . | quote }}
{{- end }}
- name: SEMPRE_SERVER_SERVICES_HEALTH_HOST
  value: 0.0.0.0
- name: SEMPRE_SERVER_SERVICES_HEALTH_PORT
  value: {{ .Values.backgroundServices.healthPort | quote }}
- name: SEMPRE_SERVER_SERVICES_DRAIN_SECONDS
  value: {{ .Values.backgroundServices.drainSeconds | quote }}
{{- end -}}

{{/* What API and services share beside Postgres and Redis. */}}
{{- define "sempre-server.env.shared" -}}
{{- if .Values.metrics.enabled }}
- name: PREFECT_SERVER_METRICS_ENABLED
  value: "true"
{{- end }}
{{- with .Values.server.encryptionKey }}
{{- if .existingSecret }}
{{ include "sempre-server.fromSecret" (dict "name" "SEMPRE_SERVER_ENCRYPTION_KEY" "secret" .existingSecret "key" .existingSecretKey) }}
{{- if .existingSecretOldKeysKey }}
{{ include "sempre-server.fromSecret" (dict "name" "SEMPRE_SERVER_ENCRYPTION_OLD_KEYS" "secret" .existingSecret "key" .existingSecretOldKeysKey) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sempre-server.auth.secretName" -}}
{{- default (printf "%s-auth" (include "sempre-server.fullname" .)) .Values.server.basicAuth.existingSecret -}}
{{- end -}}

{{- define "sempre-server.env.auth" -}}
{{- if .Values.server.basicAuth.enabled }}
{{ include "sempre-server.fromSecret" (dict "name" "PREFECT_SERVER_API_AUTH_STRING" "secret" (include "sempre-server.auth.secretName" .) "key" "auth-string") }}
{{- end }}
{{- end -}}

{{/* Where a Job, or the operator, migrates, processes do not; an empty database is built by whoever starts first. */}}
{{- define "sempre-server.env.migrateOnStart" -}}
{{- if or .Values.backgroundServices.runAsSeparateDeployment (include "sempre-server.migrations.isRun" .) }}
- name: PREFECT_SERVER_DATABASE_MIGRATE_ON_START
  value: "false"
{{- end }}
{{- end -}}

{{/* The whole environment of the API's container. */}}
{{- define "sempre-server.server.env" -}}
{{- $database := include "sempre-server.database.env" (dict "root" . "own" (include "sempre-server.database.secretName" .)) -}}
{{- include "sempre-server.env.merged" (list
    (include "sempre-server.env.api" . | fromYamlArray)
    ($database | fromYamlArray)
    (include "sempre-server.env.auth" . | fromYamlArray)
    (include "sempre-server.env.shared" . | fromYamlArray)
    (include "sempre-server.env.given" (dict "root" . "env" .Values.global.prefect.env) | fromYamlArray)
    (include "sempre-server.env.given" (dict "root" . "env" .Values.server.env) | fromYamlArray)
    (include "sempre-server.env.migrateOnStart" . | fromYamlArray)
    (include "sempre-server.messaging.env" . | fromYamlArray)
  ) -}}
{{- end -}}

{{/* The whole environment of a container of services: dict "root" $ "switches" <list> "env" <list>. */}}
{{- define "sempre-server.services.env" -}}
{{- $database := include "sempre-server.database.env" (dict "root" .root "own" (include "sempre-server.database.secretName" .root)) -}}
{{- include "sempre-server.env.merged" (list
    (include "sempre-server.env.services" .root | fromYamlArray)
    ($database | fromYamlArray)
    (include "sempre-server.env.migrateOnStart" .root | fromYamlArray)
    (include "sempre-server.messaging.env" .root | fromYamlArray)
    (include "sempre-server.env.shared" .root | fromYamlArray)
    .switches
    (include "sempre-server.env.given" (dict "root" .root "env" .root.Values.global.prefect.env) | fromYamlArray)
    (include "sempre-server.env.given" (dict "root" .root "env" .root.Values.backgroundServices.env) | fromYamlArray)
    (include "sempre-server.env.given" (dict "root" .root "env" .env) | fromYamlArray)
  ) -}}
{{- end -}}
