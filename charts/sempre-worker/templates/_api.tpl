{{/* Where the API is and how to get in. Each takes dict "root" $ "worker" <values> "name" <fullname>. */}}

{{- define "sempre-worker.api.block" -}}
{{- $blocks := dict "selfHostedServer" "selfHostedServerApiConfig" "cloud" "cloudApiConfig" "customerManagedCloud" "customerManagedCloudApiConfig" -}}
{{- get .worker (get $blocks .worker.apiConfig) | toYaml -}}
{{- end -}}

{{- define "sempre-worker.api.url" -}}
{{- $block := include "sempre-worker.api.block" . | fromYaml -}}
{{- if eq .worker.apiConfig "selfHostedServer" -}}
{{- tpl $block.apiUrl .root -}}
{{- else -}}
{{- $url := $block.cloudUrl | default $block.cloudApiUrl | default $block.apiUrl -}}
{{- printf "%s/accounts/%s/workspaces/%s" (trimSuffix "/" (tpl $url .root)) $block.accountId $block.workspaceId -}}
{{- end -}}
{{- end -}}

{{- define "sempre-worker.auth.secretName" -}}
{{- default (printf "%s-auth" (include "sempre-worker.fullname" .root)) .worker.selfHostedServerApiConfig.basicAuth.existingSecret -}}
{{- end -}}

{{/* The release's namespace and those of jobs, as a list. */}}
{{- define "sempre-worker.secretNamespaces" -}}
{{- $own := include "sempre-worker.namespace" . -}}
{{- $found := list $own -}}
{{- range include "sempre-worker.all" . | fromYamlArray -}}
{{- $found = append $found (default $own .worker.config.jobNamespace) -}}
{{- end -}}
{{- $found | uniq | toYaml -}}
{{- end -}}

{{- define "sempre-worker.fromSecret" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end -}}

{{/* Environment about the API. Names are those that both our workers and stock ones read. */}}
{{- define "sempre-worker.api.env" -}}
{{- $block := include "sempre-worker.api.block" . | fromYaml -}}
{{- $makesJobs := eq .worker.config.type "kubernetes" -}}
- name: PREFECT_API_URL
  value: {{ include "sempre-worker.api.url" . | quote }}
{{- with $block.uiUrl | default $block.cloudUiUrl }}
- name: PREFECT_UI_URL
  value: {{ . | quote }}
{{- end }}
{{- if eq .worker.apiConfig "selfHostedServer" }}
{{- if $block.basicAuth.enabled }}
{{- $secret := include "sempre-worker.auth.secretName" . }}
{{ include "sempre-worker.fromSecret" (dict "name" "PREFECT_API_AUTH_STRING" "secret" $secret "key" "auth-string") }}
{{- if $makesJobs }}
- name: PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_NAME
  value: {{ $secret }}
- name: PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_KEY
  value: auth-string
{{- end }}
{{- end }}
{{- else }}
{{ include "sempre-worker.fromSecret" (dict "name" "PREFECT_API_KEY" "secret" $block.apiKeySecret.name "key" $block.apiKeySecret.key) }}
{{- if $makesJobs }}
{{- if eq $block.jobApiKeyPropagation "secretRef" }}
- name: PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_KEY_SECRET_NAME
  value: {{ $block.apiKeySecret.name }}
- name: PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_KEY_SECRET_KEY
  value: {{ $block.apiKeySecret.key }}
{{- else if eq $block.jobApiKeyPropagation "autoSecret" }}
- name: PREFECT_INTEGRATIONS_KUBERNETES_WORKER_CREATE_SECRET_FOR_API_KEY
  value: "true"
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The whole environment of a worker's container. */}}
{{- define "sempre-worker.env" -}}
{{- $config := .worker.config -}}
{{- $entries := dict -}}
{{- $order := list -}}
{{- range concat (include "sempre-worker.env.own" . | fromYamlArray) (tpl (toYaml .worker.env) .root | fromYamlArray) -}}
{{- $entry := . -}}
{{- if hasKey . "value" }}{{ $entry = merge (dict "value" (toString .value)) . }}{{ end -}}
{{- $_ := set $entries .name $entry -}}
{{- $order = append (without $order .name) .name -}}
{{- end -}}
{{- range $order }}
{{ list (get $entries .) | toYaml }}
{{- end }}
{{- end -}}

{{- define "sempre-worker.env.own" -}}
{{- $config := .worker.config -}}
- name: HOME
  value: /home/prefect
- name: PREFECT_DEBUG_MODE
  value: {{ .worker.image.debug | quote }}
{{ include "sempre-worker.api.env" . }}
- name: PREFECT_WORKER_QUERY_SECONDS
  value: {{ $config.queryInterval | quote }}
- name: PREFECT_WORKER_PREFETCH_SECONDS
  value: {{ $config.prefetchSeconds | quote }}
- name: PREFECT_API_ENABLE_HTTP2
  value: {{ $config.http2 | quote }}
{{- if eq $config.type "kubernetes" }}
{{- if not $config.observerClusterWide }}
- name: PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES
  value: {{ default (include "sempre-worker.namespace" .root) $config.jobNamespace }}
{{- end }}
- name: PREFECT_KUBERNETES_CLUSTER_UID
  value: {{ include "sempre-worker.clusterUid" . | quote }}
{{- end }}
{{- end -}}

{{- define "sempre-worker.clusterUid" -}}
{{- if .worker.clusterUid -}}
{{- .worker.clusterUid -}}
{{- else -}}
{{- with lookup "v1" "Namespace" "" "kube-system" -}}
{{- .metadata.uid -}}
{{- end -}}
{{- end -}}
{{- end -}}
