{{/* What cannot work is refused before anything is installed: all of it at once, each with what to set. */}}

{{- define "sempre-worker.validate" -}}
{{- $found := list -}}
{{- $names := list -}}
{{- range include "sempre-worker.all" . | fromYamlArray -}}
{{- if has .name $names -}}
{{- $found = append $found (printf "- Two of `pools` are called %s: set names that differ." .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- $where := ternary "" (printf "%s: " (trimPrefix "worker-" .component)) (eq .component "worker") -}}
{{- range splitList "\n" (include "sempre-worker.validate.one" (dict "root" $ "worker" .worker) | trim) -}}
{{- if trim . -}}{{- $found = append $found (printf "- %s%s" $where (trim .)) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if $found -}}
{{- printf "\n\nThese values are refused:\n%s\n" (join "\n" $found) | fail -}}
{{- end -}}
{{- end -}}

{{- define "sempre-worker.validate.one" -}}
{{- $worker := .worker -}}
{{- $block := include "sempre-worker.api.block" . | fromYaml -}}
{{- if not $worker.config.workPool }}
No work pool is named: set worker.config.workPool.
{{- end }}
{{- if eq $worker.apiConfig "selfHostedServer" }}
{{- if not $block.apiUrl }}
The worker does not know where the API is: set worker.selfHostedServerApiConfig.apiUrl to http://<service>.<namespace>.svc.cluster.local:4200/api, or to that of the balancer.
{{- else if not (regexMatch "^https?://" (tpl $block.apiUrl .root)) }}
worker.selfHostedServerApiConfig.apiUrl is no address: set it to http://... or https://..., with the API's path.
{{- end }}
{{- if $block.basicAuth.enabled }}
{{- if and (not $block.basicAuth.existingSecret) (not (contains ":" $block.basicAuth.authString)) }}
worker.selfHostedServerApiConfig.basicAuth is on without user and password: set its existingSecret (key auth-string), or authString=user:password.
{{- else if and (not $block.basicAuth.existingSecret) (ne $block.basicAuth.authString .root.Values.worker.selfHostedServerApiConfig.basicAuth.authString) }}
A pool has an authString of its own, which no Secret of the chart holds: set its basicAuth.existingSecret.
{{- end }}
{{- end }}
{{- else }}
{{- range $field := list "accountId" "workspaceId" }}
{{- if not (get $block $field) }}
The address of the API lacks its {{ $field }}: set worker.{{ $worker.apiConfig }}ApiConfig.{{ $field }}, or worker.apiConfig=selfHostedServer.
{{- end }}
{{- end }}
{{- if not (or $block.cloudUrl $block.cloudApiUrl $block.apiUrl) }}
The worker does not know where the API is: set worker.{{ $worker.apiConfig }}ApiConfig.cloudApiUrl.
{{- end }}
{{- end }}
{{- range $name, $value := dict "apiUrl" (default "" $block.apiUrl) "cloudApiUrl" (default "" $block.cloudApiUrl) }}
{{- if regexMatch "(?i)(^|[/@.:,-])example([-.:/?,]|$)|(^|[/@.])your[-_]|<|>|change[-_]?me|replace[-_]?me" $value }}
{{ $name }} still has a name out of an example: set it to the address of your API ({{ $value }} is there now).
{{- end }}
{{- end }}
{{- with $worker.config.baseJobTemplate }}
{{- if and .existingConfigMapName .configuration }}
worker.config.baseJobTemplate has two templates: set existingConfigMapName or configuration.
{{- end }}
{{- if and .configuration (kindIs "string" .configuration) (or (not (hasPrefix "{" (trim .configuration))) (hasKey (fromJson .configuration) "Error")) }}
worker.config.baseJobTemplate.configuration is not a JSON object: set it to the text that `work-pool get-default-base-job-template` prints.
{{- end }}
{{- end }}
{{- with $worker.autoscaling }}
{{- if .enabled }}
{{- if or (and .targetCPU (not (dig "requests" "cpu" "" $worker.resources))) (and .targetMemory (not (dig "requests" "memory" "" $worker.resources))) }}
worker.autoscaling measures a part of what pods request, and they request nothing: set worker.resources.requests.cpu and .memory.
{{- end }}
{{- if not (or .targetCPU .targetMemory .metrics) }}
worker.autoscaling has nothing to go by: set worker.autoscaling.targetCPU or .metrics.
{{- end }}
{{- if lt (int .maxReplicas) (int .minReplicas) }}
worker.autoscaling.maxReplicas is less than minReplicas: set it to {{ .minReplicas }} or more.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
