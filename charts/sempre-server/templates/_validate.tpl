{{/*
What cannot work, or works until it matters, is refused before anything is installed: all of it at once, each with what
to set. Every part adds sentences to a list, one a line.
*/}}

{{- define "sempre-server.httproute.isUsed" -}}
{{- if kindIs "invalid" .Values.httproute.enabled -}}
{{- if .Values.gateway.enabled -}}true{{- end -}}
{{- else if .Values.httproute.enabled -}}true
{{- end -}}
{{- end -}}

{{/* "true" where more than one process would need the same database. */}}
{{- define "sempre-server.isReplicated" -}}
{{- $server := .Values.server -}}
{{- if or (and (not $server.autoscaling.enabled) (gt (int $server.replicaCount) 1)) (and $server.autoscaling.enabled (gt (int $server.autoscaling.maxReplicas) 1)) .Values.backgroundServices.runAsSeparateDeployment -}}true{{- end -}}
{{- end -}}

{{/* The value of a variable in a list of entries: dict "env" "names". Empty when none has it. */}}
{{- define "sempre-server.env.find" -}}
{{- $found := "" -}}
{{- range .env -}}
{{- if has .name $.names -}}
{{- $found = default "(from a reference)" .value -}}
{{- if .valueFrom -}}{{- $found = toJson .valueFrom -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}

{{- define "sempre-server.validate" -}}
{{- $found := list -}}
{{- range list "image" "database" "redis" "docket" "replicas" "names" "traffic" "secrets" "removed" -}}
{{- $said := include (printf "sempre-server.validate.%s" .) $ | trim -}}
{{- if $said -}}
{{- range splitList "\n" $said -}}
{{- if trim . -}}{{- $found = append $found (printf "- %s" (trim .)) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $found -}}
{{- printf "\n\nThese values are refused:\n%s\n" (join "\n" $found) | fail -}}
{{- end -}}
{{- end -}}

{{- define "sempre-server.validate.image" -}}
{{- $prefect := .Values.global.prefect.image -}}
{{- if regexMatch "(^|/)prefecthq/prefect(-client)?$" (default .Values.image.repository $prefect.repository) }}
The image {{ default .Values.image.repository $prefect.repository }} runs another server: set image.repository (or global.prefect.image.repository) to the image of Sempre, and its tag.
{{- else if and $prefect.prefectTag (not $prefect.repository) (not .Values.image.digest) }}
global.prefect.image.prefectTag is {{ $prefect.prefectTag }}, a tag of an image that is not named: set global.prefect.image.repository too, or take it away and set image.tag.
{{- end }}
{{- if and (not .Values.image.digest) (include "sempre-server.migrations.isRun" .) (regexMatch "(^|[-.])(latest|main|master|edge|nightly|dev|stable)$" (include "sempre-server.image.tag" .)) }}
The image tag {{ include "sempre-server.image.tag" . }} means another release from day to day, and migrations would change the database for whichever it is: set image.tag to a version, or image.digest, or migrations.enabled=false.
{{- end }}
{{- end -}}

{{- define "sempre-server.validate.database" -}}
{{- $external := .Values.externalDatabase -}}
{{- $ways := include "sempre-server.database.ways" . | fromYamlArray | uniq -}}
{{- $way := include "sempre-server.database.way" . -}}
{{- if and .Values.postgresql.enabled (ne $way "trial") }}
postgresql.enabled starts a Postgres for trials, and another one is named too: set postgresql.enabled=false to use the one that is named.
{{- end }}
{{- if and .Values.sqlite.enabled (ne $way "embedded") }}
sqlite.enabled asks for a database inside of the pod, and another one is named too: set sqlite.enabled=false to use the one that is named.
{{- end }}
{{- if and (eq $way "embedded") (include "sempre-server.isReplicated" .) }}
Several pods cannot share the Postgres that is embedded in one: set externalDatabase.existingSecret and .connectionStringSecretKey (or another of externalDatabase's ways), or one replica, server.autoscaling.enabled=false and backgroundServices.runAsSeparateDeployment=false.
{{- end }}
{{- if and (eq $way "key") (not $external.existingSecret) }}
externalDatabase.connectionStringSecretKey is a key of no Secret: set externalDatabase.existingSecret.
{{- end }}
{{- if and $external.readUrlSecretKey (not $external.existingSecret) }}
externalDatabase.readUrlSecretKey is a key of no Secret: set externalDatabase.existingSecret.
{{- end }}
{{- if and (or $external.readUrl $external.readUrlSecretKey) (eq $way "embedded") }}
externalDatabase.readUrl is a replica of a database that is not named: set externalDatabase.connectionString or another way to it.
{{- end }}
{{- if eq $way "fields" }}
{{- range $field := list "host" "username" "database" "password" }}
{{- if not (or (get $external $field) (get $external (printf "%sSecretKey" $field))) }}
externalDatabase has no {{ $field }}: set externalDatabase.{{ $field }}, or externalDatabase.{{ $field }}SecretKey with externalDatabase.existingSecret.
{{- end }}
{{- end }}
{{- range $field := list "host" "port" "username" "database" "password" }}
{{- if and (get $external (printf "%sSecretKey" $field)) (not $external.existingSecret) }}
externalDatabase.{{ $field }}SecretKey is a key of no Secret: set externalDatabase.existingSecret.
{{- end }}
{{- end }}
{{- end }}
{{- if eq $way "own" }}
{{- range $field := list "username" "password" "host" "database" }}
{{- if not (get $.Values.secret $field) }}
The Secret with the address of Postgres lacks its {{ $field }}: set secret.{{ $field }}, or secret.create=false and secret.name to bring your own.
{{- end }}
{{- end }}
{{- end }}
{{- if and (not .Values.secret.create) (not .Values.secret.name) (eq $way "embedded") (not .Values.sqlite.enabled) }}
secret.create is false and no Secret is named: set secret.name to one with the key connection-string, or externalDatabase.
{{- end }}
{{- range $url := list $external.connectionString $external.readUrl }}
{{- if hasPrefix "sqlite" $url }}
externalDatabase asks for SQLite, and Sempre keeps its state in Postgres: leave it empty for the embedded one (nothing to install), or set externalDatabase.connectionString=postgresql://user:password@host:5432/name.
{{- else if and $url (not (regexMatch "^postgres(ql)?(\\+[a-z0-9]+)?://" $url)) }}
externalDatabase has a URL that is none of Postgres: set it to postgresql://user:password@host:5432/name.
{{- end }}
{{- end }}
{{- $names := list "SEMPRE_SERVER_DATABASE_CONNECTION_URL" "PREFECT_SERVER_DATABASE_CONNECTION_URL" "PREFECT_API_DATABASE_CONNECTION_URL" "SEMPRE_SERVER_DATABASE_HOST" "PREFECT_SERVER_DATABASE_HOST" "PREFECT_API_DATABASE_HOST" }}
{{- if and .Values.backgroundServices.runAsSeparateDeployment (eq $way "environment") (not $external.fromEnvironment) (not (include "sempre-server.env.find" (dict "env" (concat .Values.global.prefect.env .Values.backgroundServices.env) "names" $names))) }}
server.env names a Postgres that the background services do not know: set it in global.prefect.env, or use externalDatabase.
{{- end }}
{{- if and $external.tls.enabled $external.tls.certKey (not $external.tls.keyKey) }}
externalDatabase.tls.certKey names a certificate without its key: set externalDatabase.tls.keyKey.
{{- end }}
{{- end -}}

{{- define "sempre-server.validate.redis" -}}
{{- $redis := .Values.backgroundServices.messaging.redis -}}
{{- $messaging := .Values.backgroundServices.messaging -}}
{{- $external := .Values.externalRedis -}}
{{- $urls := or $external.url $external.urlSecretKey $external.streams.url $external.streams.urlSecretKey $external.work.url $external.work.urlSecretKey $external.cache.url $external.cache.urlSecretKey -}}
{{- $names := list "SEMPRE_REDIS_URL" "SEMPRE_REDIS_HOST" "PREFECT_REDIS_MESSAGING_URL" "PREFECT_REDIS_MESSAGING_HOST" -}}
{{- $byEnvironment := include "sempre-server.env.find" (dict "env" (concat .Values.global.prefect.env .Values.server.env .Values.backgroundServices.env) "names" $names) -}}
{{- $used := or (include "sempre-server.redis.isUsed" .) $byEnvironment -}}
{{- $docket := include "sempre-server.docket.reference" . -}}
{{- if and $urls $redis.host }}
Redis is named twice, by backgroundServices.messaging.redis.host and by externalRedis: set one of them.
{{- end }}
{{- if and .Values.redis.enabled (or $urls $redis.host) }}
redis.enabled starts a Redis for trials, and another one is named too: set redis.enabled=false to use the one that is named.
{{- end }}
{{- if and (not $used) (or $redis.password $redis.existingSecret $redis.username $redis.ssl) }}
A Redis is half described, without its host: set backgroundServices.messaging.redis.host, or take the rest of backgroundServices.messaging.redis away (everything then goes over Postgres).
{{- end }}
{{- if and (not $used) (hasPrefix "prefect_redis" $messaging.broker) }}
backgroundServices.messaging.broker is {{ $messaging.broker }}, and no Redis is named: set backgroundServices.messaging.redis.host or externalRedis.url, or broker="" (everything then goes over Postgres).
{{- end }}
{{- if and $used $messaging.broker (not (hasPrefix "prefect_redis" $messaging.broker)) (ne $messaging.broker "redis") }}
A Redis is named, and backgroundServices.messaging.broker={{ $messaging.broker }} does not use it: set broker="", or take the Redis away.
{{- end }}
{{- if and (not $used) (or $external.cache.url $external.cache.urlSecretKey) }}
externalRedis.cache is set and no Redis for the streams: set externalRedis.url or externalRedis.streams.url.
{{- end }}
{{- if and (not $used) $docket (not (hasPrefix "memory://" $messaging.docket.url)) }}
A Redis for turns (the docket URL) is named, and none for the streams: set backgroundServices.messaging.redis.host or externalRedis.url.
{{- end }}
{{- if and (or $external.streams.url $external.streams.urlSecretKey) (not $docket) }}
externalRedis.streams is set and no Redis for turns: set externalRedis.work.url (another database or instance), or externalRedis.url for all roles.
{{- end }}
{{- range $key := list $external.urlSecretKey $external.streams.urlSecretKey $external.work.urlSecretKey $external.cache.urlSecretKey }}
{{- if and $key (not $external.existingSecret) }}
externalRedis has the key {{ $key }} of no Secret: set externalRedis.existingSecret.
{{- end }}
{{- end }}
{{- range $url := list $external.url $external.streams.url $external.work.url $external.cache.url $messaging.docket.url }}
{{- if regexMatch "^rediss?\\+cluster://" $url }}
A cluster of Redis is not supported and not needed: set a single instance, redis://host:6379/0, or redis+sentinel:// for one with failover.
{{- else if and $url (not (regexMatch "^(rediss?(\\+sentinel)?|memory)://" (tpl $url $))) }}
A URL of Redis begins with something else than redis://, rediss://, redis+sentinel:// or rediss+sentinel://: set it like redis://user:password@host:6379/0.
{{- end }}
{{- end }}
{{- end -}}

{{- define "sempre-server.validate.docket" -}}
{{- $names := list "SEMPRE_SERVER_DOCKET_URL" "PREFECT_SERVER_DOCKET_URL" -}}
{{- $separate := .Values.backgroundServices.runAsSeparateDeployment -}}
{{- $server := include "sempre-server.env.find" (dict "env" (concat .Values.global.prefect.env .Values.server.env) "names" $names) -}}
{{- $services := include "sempre-server.env.find" (dict "env" (concat .Values.global.prefect.env .Values.backgroundServices.env) "names" $names) -}}
{{- $docket := include "sempre-server.docket.reference" . -}}
{{- $url := .Values.backgroundServices.messaging.docket.url -}}
{{- if and $separate (ne $server $services) }}
API and background services get different docket URLs by server.env and backgroundServices.env, so they would not share their turns: set backgroundServices.messaging.docket.url (or externalRedis.work) instead, which goes to both.
{{- else if and $docket (or $server $services) }}
The docket URL is set twice, by env and by the chart's values: set backgroundServices.messaging.docket.url (or externalRedis.work) alone, which goes to API and services.
{{- end }}
{{- range $name, $group := .Values.backgroundServices.groups }}
{{- if include "sempre-server.env.find" (dict "env" (default list $group.env) "names" $names) }}
backgroundServices.groups.{{ $name }}.env has a docket URL of its own: set backgroundServices.messaging.docket.url, which goes to all.
{{- end }}
{{- end }}
{{- if and (include "sempre-server.isReplicated" .) (or (hasPrefix "memory://" $url) (hasPrefix "memory://" $server) (hasPrefix "memory://" $services)) }}
The docket URL memory:// belongs to one process, and there are several: take it away (turns are then kept in Postgres), or set backgroundServices.messaging.docket.url=redis://host:6379/1.
{{- end }}
{{- end -}}

{{- define "sempre-server.validate.replicas" -}}
{{- $server := .Values.server -}}
{{- $services := .Values.backgroundServices -}}
{{- $messaging := $services.messaging -}}
{{- $docket := or (include "sempre-server.docket.reference" .) (include "sempre-server.env.find" (dict "env" (concat .Values.global.prefect.env $services.env) "names" (list "SEMPRE_SERVER_DOCKET_URL" "PREFECT_SERVER_DOCKET_URL"))) -}}
{{- if and $services.runAsSeparateDeployment $messaging.redis.host (not $docket) (or (gt (int $services.replicaCount) 1) $services.groups) }}
There are several processes of background services and a Redis, and no docket URL: set backgroundServices.messaging.docket.url=redis://{{ $messaging.redis.host }}:{{ $messaging.redis.port }}/1.
{{- end }}
{{- if and (include "sempre-server.isReplicated" .) (contains "memory" $messaging.broker) }}
backgroundServices.messaging.broker={{ $messaging.broker }} is the memory of one process, and there are several: set broker="" (events then go over Postgres, or over Redis where one is named).
{{- end }}
{{- $alone := include "sempre-server.env.find" (dict "env" (concat .Values.global.prefect.env $server.env) "names" (list "SEMPRE_SERVER_WEBSERVER_ONLY" "PREFECT__SERVER_WEBSERVER_ONLY")) }}
{{- if and (not $services.runAsSeparateDeployment) $alone (not (has (lower (toString $alone)) (list "0" "false" "no" "off"))) }}
server.env has the API run without background services, and nobody else runs them: set backgroundServices.runAsSeparateDeployment=true, or take PREFECT__SERVER_WEBSERVER_ONLY away.
{{- end }}
{{- with $server.autoscaling }}
{{- if .enabled }}
{{- if or (and .targetCPU (not (dig "requests" "cpu" "" $server.resources))) (and .targetMemory (not (dig "requests" "memory" "" $server.resources))) }}
server.autoscaling measures a part of what pods request, and they request nothing: set server.resources.requests.cpu and .memory.
{{- end }}
{{- if not (or .targetCPU .targetMemory) }}
server.autoscaling has nothing to go by: set server.autoscaling.targetCPU.
{{- end }}
{{- if lt (int .maxReplicas) (int .minReplicas) }}
server.autoscaling.maxReplicas is less than minReplicas: set it to {{ .minReplicas }} or more.
{{- end }}
{{- end }}
{{- end }}
{{- $known := include "sempre-server.services.known" . | fromYamlArray }}
{{- range $name, $group := $services.groups }}
{{- if not $services.runAsSeparateDeployment }}
backgroundServices.groups needs background services in pods of their own: set backgroundServices.runAsSeparateDeployment=true.
{{- end }}
{{- range $group.services }}
{{- if not (has . $known) }}
backgroundServices.groups.{{ $name }} has the service {{ . }}, which is none: set it to some of {{ join ", " $known }}.
{{- end }}
{{- end }}
{{- end }}
{{- range $part, $values := dict "server" $server "backgroundServices" $services }}
{{- with $values.podDisruptionBudget }}
{{- if and .enabled (kindIs "invalid" .minAvailable) (kindIs "invalid" .maxUnavailable) }}
{{ $part }}.podDisruptionBudget says nothing: set its maxUnavailable or its minAvailable.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sempre-server.validate.names" -}}
{{- $external := .Values.externalDatabase -}}
{{- $redis := .Values.externalRedis -}}
{{- $messaging := .Values.backgroundServices.messaging -}}
{{- $all := dict
    "domain" .Values.domain
    "backgroundServices.messaging.redis.host" $messaging.redis.host
    "backgroundServices.messaging.docket.url" $messaging.docket.url
    "externalRedis.url" $redis.url
    "externalRedis.streams.url" $redis.streams.url
    "externalRedis.work.url" $redis.work.url
    "externalRedis.cache.url" $redis.cache.url
    "externalDatabase.host" $external.host
    "externalDatabase.connectionString" $external.connectionString
    "externalDatabase.readUrl" $external.readUrl
    "secret.host" .Values.secret.host
    "server.uiConfig.prefectUiApiUrl" .Values.server.uiConfig.prefectUiApiUrl
    "server.uiConfig.uiUrl" .Values.server.uiConfig.uiUrl
    "ingress.host.hostname" (ternary .Values.ingress.host.hostname "" .Values.ingress.enabled)
    "httproute.hostnames" (join "," .Values.httproute.hostnames)
-}}
{{- range $name, $value := $all }}
{{- if regexMatch "(?i)(^|[/@.:,-])example([-.:/?,]|$)|(^|[/@.])your[-_]|<|>|change[-_]?me|replace[-_]?me" $value }}
{{ $name }} still has a name out of an example: set it to the name of yours{{ if not (contains "@" $value) }} ({{ $value }} is there now){{ end }}.
{{- end }}
{{- end }}
{{- end -}}

{{- define "sempre-server.validate.traffic" -}}
{{- $gateway := .Values.gateway -}}
{{- if and .Values.ingress.enabled (or $gateway.enabled (include "sempre-server.httproute.isUsed" .)) }}
Ingress and Gateway are both on, for the same names: set ingress.enabled=false, or gateway.enabled=false and httproute.enabled=false.
{{- end }}
{{- if .Values.ingress.enabled }}
{{- if not (or .Values.ingress.host.hostname .Values.domain .Values.ingress.extraHosts .Values.ingress.extraRules) }}
The Ingress has no host name: set domain (for api.<domain> and app.<domain>), or ingress.host.hostname.
{{- end }}
{{- if and .Values.domain (not (or .Values.ingress.tls .Values.ingress.selfSigned .Values.ingress.extraTls)) }}
With domain, addresses are https, and the Ingress has no TLS: set ingress.tls=true with a Secret (ingress.tlsSecret) or a cert-manager annotation, or ingress.selfSigned=true for a trial.
{{- end }}
{{- end }}
{{- if and $gateway.enabled (not $gateway.className) }}
The Gateway has no class: set gateway.className to one that `kubectl get gatewayclass` shows.
{{- end }}
{{- if and (include "sempre-server.httproute.isUsed" .) (not $gateway.enabled) (not .Values.httproute.parent.name) }}
The route belongs to no Gateway: set httproute.parent.name to one that is there, or gateway.enabled=true to make one.
{{- end }}
{{- if and (or $gateway.enabled (include "sempre-server.httproute.isUsed" .)) (not (.Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1")) }}
This cluster does not know the Gateway API: install its custom resource definitions, or set ingress.enabled in place of it (offline, say --api-versions gateway.networking.k8s.io/v1).
{{- end }}
{{- end -}}

{{- define "sempre-server.validate.secrets" -}}
{{- with .Values.server.basicAuth }}
{{- if and .enabled (not .existingSecret) }}
{{- if not (contains ":" .authString) }}
server.basicAuth is on without user and password: set server.basicAuth.existingSecret (key auth-string), or server.basicAuth.authString=user:password.
{{- else if eq .authString "admin:pass" }}
server.basicAuth.authString is the admin:pass of examples: set another password, or server.basicAuth.existingSecret.
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) }}
metrics.serviceMonitor scrapes what is not shown: set metrics.enabled=true.
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.server.basicAuth.enabled .Values.server.basicAuth.existingSecret (not .Values.metrics.serviceMonitor.basicAuth.secret) }}
The scrape of the API needs user and password apart, and server.basicAuth.existingSecret has them as one: set metrics.serviceMonitor.basicAuth.secret to a Secret with the keys username and password.
{{- end }}
{{- end -}}

{{- define "sempre-server.validate.removed" -}}
{{- range $where, $values := dict "server" .Values.server "server.uiConfig" .Values.server.uiConfig }}
{{- if hasKey $values "prefectApiUrl" }}
{{ $where }}.prefectApiUrl is no longer a value: set server.uiConfig.prefectUiApiUrl, or domain.
{{- end }}
{{- if hasKey $values "prefectApiHost" }}
{{ $where }}.prefectApiHost is no longer a value, the API always listens on all addresses of its pod: take it away.
{{- end }}
{{- if hasKey $values "prefectUiUrl" }}
{{ $where }}.prefectUiUrl is no longer a value: set server.uiConfig.uiUrl, or domain.
{{- end }}
{{- end }}
{{- end -}}
