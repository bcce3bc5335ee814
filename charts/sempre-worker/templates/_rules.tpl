{{/* What is watched of a flow run's pods. */}}
{{- define "sempre-worker.rules.watching" -}}
- apiGroups: [""]
  resources: [events, pods, pods/log, pods/status]
  verbs: [get, list, watch]
{{- end -}}
