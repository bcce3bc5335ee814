{{/* Which Postgres: the first of the ways to name it that is set. */}}

{{- define "sempre-server.database.ways" -}}
{{- $external := .Values.externalDatabase -}}
{{- $secret := .Values.secret -}}
{{- if $external.fromEnvironment }}
- environment
{{- else }}
{{- range concat .Values.global.prefect.env .Values.server.env }}
{{- if regexMatch "^(SEMPRE|PREFECT)_(SERVER|API)_DATABASE_(CONNECTION_URL|HOST)$" .name }}
- environment
{{- end }}
{{- end }}
{{- end }}
{{- if $external.connectionString }}
- string
{{- end }}
{{- if $external.connectionStringSecretKey }}
- key
{{- end }}
{{- if or $external.host $external.hostSecretKey $external.username $external.usernameSecretKey $external.password $external.passwordSecretKey $external.database $external.databaseSecretKey }}
- fields
{{- end }}
{{- if and (not $secret.create) $secret.name }}
- secret
{{- end }}
{{- if and $secret.create (or $secret.host $secret.username $secret.password $secret.database) }}
- own
{{- end }}
{{- if .Values.postgresql.enabled }}
- trial
{{- end }}
{{- if .Values.sqlite.enabled }}
- embedded
{{- end }}
{{- end -}}

{{/* environment | string | key | fields | secret | own | trial | embedded */}}
{{- define "sempre-server.database.way" -}}
{{- include "sempre-server.database.ways" . | fromYamlArray | first | default "embedded" -}}
{{- end -}}

{{- define "sempre-server.database.isEmbedded" -}}
{{- if eq (include "sempre-server.database.way" .) "embedded" -}}true{{- end -}}
{{- end -}}

{{- define "sempre-server.migrations.isRun" -}}
{{- if and .Values.migrations.enabled (not (include "sempre-server.database.isEmbedded" .)) -}}true{{- end -}}
{{- end -}}

{{/* Percent-encoding of a part of a URL; a space is not a plus there. */}}
{{- define "sempre-server.quoted" -}}
{{- . | toString | urlquery | replace "+" "%20" -}}
{{- end -}}

{{- define "sempre-server.database.secretName" -}}
{{- default (printf "%s-postgresql-connection" (include "sempre-server.fullname" .)) .Values.secret.name -}}
{{- end -}}

{{/* What the Secret of the chart holds; empty where it needs none. */}}
{{- define "sempre-server.database.secretData" -}}
{{- $external := .Values.externalDatabase -}}
{{- $way := include "sempre-server.database.way" . -}}
{{- if eq $way "string" }}
connection-string: {{ $external.connectionString | quote }}
{{- else if and (eq $way "fields") $external.password (not $external.passwordSecretKey) }}
password: {{ $external.password | quote }}
{{- else if eq $way "own" }}
{{- with .Values.secret }}
connection-string: {{ printf "postgresql://%s:%s@%s:%v/%s" (include "sempre-server.quoted" .username) (include "sempre-server.quoted" .password) .host (default 5432 .port) (include "sempre-server.quoted" .database) | quote }}
{{- end }}
{{- else if eq $way "trial" }}
{{- $host := printf "%s-postgresql" (include "sempre-server.fullname" .) }}
{{- with .Values.postgresql.auth }}
connection-string: {{ printf "postgresql://%s:%s@%s:5432/%s" (include "sempre-server.quoted" .username) (include "sempre-server.quoted" .password) $host (include "sempre-server.quoted" .database) | quote }}
password: {{ .password | quote }}
{{- end }}
{{- end }}
{{- if and $external.readUrl (not $external.readUrlSecretKey) }}
read-url: {{ $external.readUrl | quote }}
{{- end }}
{{- end -}}

{{/* One variable from a key of a Secret: dict "name" "secret" "key". */}}
{{- define "sempre-server.fromSecret" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end -}}

{{/* A part of the URL from its literal value or its key: dict "name" "value" "key" "secret". */}}
{{- define "sempre-server.database.part" -}}
{{- if .key }}
{{ include "sempre-server.fromSecret" . }}
{{- else if .value }}
- name: {{ .name }}
  value: {{ .value | toString | quote }}
{{- end }}
{{- end -}}

{{/* Environment that names Postgres: dict "root" $ "own" <name of the Secret with what the chart keeps itself>. */}}
{{- define "sempre-server.database.env" -}}
{{- $external := .root.Values.externalDatabase -}}
{{- $way := include "sempre-server.database.way" .root -}}
{{- $url := "PREFECT_SERVER_DATABASE_CONNECTION_URL" -}}
{{- if has $way (list "string" "own" "trial") }}
{{ include "sempre-server.fromSecret" (dict "name" $url "secret" .own "key" "connection-string") }}
{{- else if eq $way "key" }}
{{ include "sempre-server.fromSecret" (dict "name" $url "secret" $external.existingSecret "key" $external.connectionStringSecretKey) }}
{{- else if eq $way "secret" }}
{{ include "sempre-server.fromSecret" (dict "name" $url "secret" .root.Values.secret.name "key" "connection-string") }}
{{- else if eq $way "fields" }}
- name: PREFECT_SERVER_DATABASE_DRIVER
  value: postgresql+asyncpg
{{- $given := $external.existingSecret }}
{{- include "sempre-server.database.part" (dict "name" "PREFECT_SERVER_DATABASE_USER" "value" $external.username "key" $external.usernameSecretKey "secret" $given) }}
{{- if $external.passwordSecretKey }}
{{ include "sempre-server.fromSecret" (dict "name" "PREFECT_SERVER_DATABASE_PASSWORD" "secret" $given "key" $external.passwordSecretKey) }}
{{- else if $external.password }}
{{ include "sempre-server.fromSecret" (dict "name" "PREFECT_SERVER_DATABASE_PASSWORD" "secret" .own "key" "password") }}
{{- end }}
{{- include "sempre-server.database.part" (dict "name" "PREFECT_SERVER_DATABASE_HOST" "value" $external.host "key" $external.hostSecretKey "secret" $given) }}
{{- include "sempre-server.database.part" (dict "name" "PREFECT_SERVER_DATABASE_PORT" "value" $external.port "key" $external.portSecretKey "secret" $given) }}
{{- include "sempre-server.database.part" (dict "name" "PREFECT_SERVER_DATABASE_NAME" "value" $external.database "key" $external.databaseSecretKey "secret" $given) }}
{{- else if eq $way "embedded" }}
- name: SEMPRE_HOME
  value: /data
{{- end }}
{{- if $external.readUrlSecretKey }}
{{ include "sempre-server.fromSecret" (dict "name" "SEMPRE_SERVER_DATABASE_READ_URL" "secret" $external.existingSecret "key" $external.readUrlSecretKey) }}
{{- else if $external.readUrl }}
{{ include "sempre-server.fromSecret" (dict "name" "SEMPRE_SERVER_DATABASE_READ_URL" "secret" .own "key" "read-url") }}
{{- end }}
{{- if $external.pooler.transactionMode }}
- name: SEMPRE_SERVER_DATABASE_STATEMENT_CACHE_SIZE
  value: "0"
{{- end }}
{{- if not (kindIs "invalid" $external.poolSize) }}
- name: SEMPRE_SERVER_DATABASE_POOL_SIZE
  value: {{ $external.poolSize | quote }}
{{- end }}
{{- if not (kindIs "invalid" $external.poolOverflow) }}
- name: SEMPRE_SERVER_DATABASE_POOL_OVERFLOW
  value: {{ $external.poolOverflow | quote }}
{{- end }}
{{- with $external.tls }}
{{- if .enabled }}
- name: SEMPRE_SERVER_DATABASE_TLS_ENABLED
  value: "true"
- name: SEMPRE_SERVER_DATABASE_TLS_CHECK_HOSTNAME
  value: {{ .checkHostname | quote }}
{{- if and .existingSecret .caKey }}
- name: SEMPRE_SERVER_DATABASE_TLS_CA_FILE
  value: /etc/sempre/database-tls/{{ .caKey }}
{{- end }}
{{- if and .existingSecret .certKey }}
- name: SEMPRE_SERVER_DATABASE_TLS_CERT_FILE
  value: /etc/sempre/database-tls/{{ .certKey }}
- name: SEMPRE_SERVER_DATABASE_TLS_KEY_FILE
  value: /etc/sempre/database-tls/{{ .keyKey }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sempre-server.database.volumes" -}}
{{- with .Values.externalDatabase.tls }}
{{- if and .enabled .existingSecret }}
- name: database-tls
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 288  # 0440
{{- end }}
{{- end }}
{{- end -}}

{{- define "sempre-server.database.mounts" -}}
{{- with .Values.externalDatabase.tls }}
{{- if and .enabled .existingSecret }}
- name: database-tls
  mountPath: /etc/sempre/database-tls
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}
