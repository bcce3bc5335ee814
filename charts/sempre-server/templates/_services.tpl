{{/* Background services by the names of their switches, as `sempre server services ls` shows them. */}}
{{- define "sempre-server.services.known" -}}
- abandoned_runs
- cancellation_cleanup
- cleanup_reconciler
- foreman
- heartbeats
- late_runs
- partition_keeper
- pause_expirations
- presets
- repossessor
- scheduler
- task_run_recorder
- triggers
{{- end -}}

{{/* Switches that turn services off: list of names. */}}
{{- define "sempre-server.services.off" -}}
{{- range . }}
- name: SEMPRE_SERVER_SERVICES_{{ . | upper }}_ENABLED
  value: "false"
{{- end }}
{{- end -}}

{{/* Everything that groups took over. */}}
{{- define "sempre-server.services.taken" -}}
{{- $taken := list -}}
{{- range .Values.backgroundServices.groups -}}
{{- $taken = concat $taken .services -}}
{{- end -}}
{{- $taken | uniq | sortAlpha | toYaml -}}
{{- end -}}

{{- define "sempre-server.services.grace" -}}
{{- $values := .Values.backgroundServices -}}
{{- if kindIs "invalid" $values.terminationGracePeriodSeconds -}}
{{- add (ceil $values.drainSeconds | int) 10 -}}
{{- else -}}
{{- $values.terminationGracePeriodSeconds | int -}}
{{- end -}}
{{- end -}}

{{/* What a stop may take: drain, grace and ten seconds; where services run beside the API, those of both at the same time. */}}
{{- define "sempre-server.server.grace" -}}
{{- $values := .Values.server -}}
{{- if kindIs "invalid" $values.terminationGracePeriodSeconds -}}
{{- $stop := add (ceil $values.shutdown.drainSeconds | int) (ceil $values.shutdown.graceSeconds | int) -}}
{{- if not .Values.backgroundServices.runAsSeparateDeployment -}}
{{- $stop = max $stop (ceil .Values.backgroundServices.drainSeconds | int) -}}
{{- end -}}
{{- add $stop 10 -}}
{{- else -}}
{{- $values.terminationGracePeriodSeconds | int -}}
{{- end -}}
{{- end -}}

{{- define "sempre-server.embedded.persistence" -}}
{{- if .Values.sqlite.enabled -}}
{{- mergeOverwrite (deepCopy .Values.embedded.persistence) .Values.sqlite.persistence | toYaml -}}
{{- else -}}
{{- .Values.embedded.persistence | toYaml -}}
{{- end -}}
{{- end -}}

{{- define "sempre-server.embedded.isPersistent" -}}
{{- if (include "sempre-server.embedded.persistence" . | fromYaml).enabled -}}true{{- end -}}
{{- end -}}

{{- define "sempre-server.embedded.claim" -}}
{{- default (printf "%s-data" (include "sempre-server.fullname" .)) .Values.embedded.persistence.existingClaim -}}
{{- end -}}

{{/* What pods have to start again for when it changes. */}}
{{- define "sempre-server.secrets.checksum" -}}
{{- printf "%s\n%s\n%s" (include "sempre-server.database.secretData" .) (include "sempre-server.redis.secretData" .) .Values.server.basicAuth.authString | sha256sum | trunc 16 -}}
{{- end -}}
