{{/* Which Redis: by parts under the names of existing values, by URLs, or the small one for trials. */}}

{{- define "sempre-server.redis.secretName" -}}
{{- include "sempre-server.fullname" . }}-redis
{{- end -}}

{{- define "sempre-server.redis.host" -}}
{{- if .Values.backgroundServices.messaging.redis.host -}}
{{- tpl .Values.backgroundServices.messaging.redis.host . -}}
{{- else if .Values.redis.enabled -}}
{{- include "sempre-server.redis.secretName" . -}}
{{- end -}}
{{- end -}}

{{/* The URL of a role as a reference, {value: ...} or {secret: ..., key: ...}; empty when none: dict "root" $ "role" "streams". */}}
{{- define "sempre-server.redis.reference" -}}
{{- $external := .root.Values.externalRedis -}}
{{- $own := get $external .role -}}
{{- if $own.urlSecretKey -}}
secret: {{ $external.existingSecret }}
key: {{ $own.urlSecretKey }}
{{- else if $own.url -}}
secret: {{ include "sempre-server.redis.secretName" .root }}
key: {{ .role }}-url
{{- else if ne .role "cache" -}}
{{- if $external.urlSecretKey -}}
secret: {{ $external.existingSecret }}
key: {{ $external.urlSecretKey }}
{{- else if $external.url -}}
secret: {{ include "sempre-server.redis.secretName" .root }}
key: url
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The docket URL, the same for API and services. */}}
{{- define "sempre-server.docket.reference" -}}
{{- $docket := .Values.backgroundServices.messaging.docket -}}
{{- if $docket.existingSecret -}}
secret: {{ $docket.existingSecret }}
key: {{ $docket.existingSecretKey }}
{{- else if $docket.url -}}
secret: {{ include "sempre-server.redis.secretName" . }}
key: docket-url
{{- else if and .Values.redis.enabled (not .Values.backgroundServices.messaging.redis.host) -}}
value: {{ printf "redis://%s:6379/1" (include "sempre-server.redis.host" .) }}
{{- else -}}
{{- include "sempre-server.redis.reference" (dict "root" . "role" "work") -}}
{{- end -}}
{{- end -}}

{{- define "sempre-server.redis.isUsed" -}}
{{- if or (include "sempre-server.redis.host" .) (include "sempre-server.redis.reference" (dict "root" . "role" "streams")) -}}true{{- end -}}
{{- end -}}

{{- define "sempre-server.redis.secretData" -}}
{{- $external := .Values.externalRedis -}}
{{- $messaging := .Values.backgroundServices.messaging -}}
{{- if and $messaging.redis.password (not $messaging.redis.existingSecret) }}
redis-password: {{ $messaging.redis.password | quote }}
{{- end }}
{{- if and $messaging.docket.url (not $messaging.docket.existingSecret) }}
docket-url: {{ tpl $messaging.docket.url . | quote }}
{{- end }}
{{- if and $external.url (not $external.urlSecretKey) }}
url: {{ $external.url | quote }}
{{- end }}
{{- range $role := list "streams" "work" "cache" }}
{{- with get $external $role }}
{{- if and .url (not .urlSecretKey) }}
{{ $role }}-url: {{ .url | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* One variable from a reference: dict "name" "reference". */}}
{{- define "sempre-server.redis.variable" -}}
{{- with .reference | fromYaml }}
{{- if .secret }}
{{ include "sempre-server.fromSecret" (dict "name" $.name "secret" .secret "key" .key) }}
{{- else if .value }}
- name: {{ $.name }}
  value: {{ .value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The same on API and services. */}}
{{- define "sempre-server.messaging.env" -}}
{{- $messaging := .Values.backgroundServices.messaging -}}
{{- $redis := $messaging.redis -}}
{{- $used := include "sempre-server.redis.isUsed" . -}}
{{- $broker := default (ternary "prefect_redis.messaging" "" (eq $used "true")) $messaging.broker -}}
{{- $cache := default (ternary "prefect_redis.messaging" "" (eq $used "true")) $messaging.cache -}}
{{- if $broker }}
- name: PREFECT_MESSAGING_BROKER
  value: {{ $broker }}
{{- end }}
{{- if $cache }}
- name: PREFECT_MESSAGING_CACHE
  value: {{ $cache }}
{{- end }}
{{- if eq $broker "prefect_redis.messaging" }}
- name: PREFECT_SERVER_EVENTS_CAUSAL_ORDERING
  value: prefect_redis.ordering
- name: PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE
  value: prefect_redis.lease_storage
{{- with include "sempre-server.redis.host" . }}
- name: PREFECT_REDIS_MESSAGING_HOST
  value: {{ . | quote }}
- name: PREFECT_REDIS_MESSAGING_PORT
  value: {{ $redis.port | toString | quote }}
{{- if $redis.ssl }}
- name: PREFECT_REDIS_MESSAGING_SSL
  value: "true"
{{- end }}
- name: PREFECT_REDIS_MESSAGING_DB
  value: {{ $redis.db | toString | quote }}
{{- with $redis.username }}
- name: PREFECT_REDIS_MESSAGING_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- if $redis.existingSecret }}
{{ include "sempre-server.fromSecret" (dict "name" "PREFECT_REDIS_MESSAGING_PASSWORD" "secret" $redis.existingSecret "key" $redis.existingSecretPasswordKey) }}
{{- else if $redis.password }}
{{ include "sempre-server.fromSecret" (dict "name" "PREFECT_REDIS_MESSAGING_PASSWORD" "secret" (include "sempre-server.redis.secretName" $) "key" "redis-password") }}
{{- end }}
{{- end }}
{{- if not (include "sempre-server.redis.host" .) }}
{{- include "sempre-server.redis.variable" (dict "name" "PREFECT_REDIS_MESSAGING_URL" "reference" (include "sempre-server.redis.reference" (dict "root" . "role" "streams"))) }}
{{- end }}
{{- end }}
{{- include "sempre-server.redis.variable" (dict "name" "SEMPRE_REDIS_CACHE_URL" "reference" (include "sempre-server.redis.reference" (dict "root" . "role" "cache"))) }}
{{- include "sempre-server.redis.variable" (dict "name" "PREFECT_SERVER_DOCKET_URL" "reference" (include "sempre-server.docket.reference" .)) }}
{{- end -}}
