{{/* A worker's pod: dict "root" $ "component" <label> "name" <fullname> "worker" <values>. */}}

{{- define "sempre-worker.template.configMap" -}}
{{- default (printf "%s-base-job-template" .name) .worker.config.baseJobTemplate.existingConfigMapName -}}
{{- end -}}

{{- define "sempre-worker.template.text" -}}
{{- $given := .worker.config.baseJobTemplate.configuration -}}
{{- ternary $given (toPrettyJson $given) (kindIs "string" $given) -}}
{{- end -}}

{{- define "sempre-worker.template.isGiven" -}}
{{- with .worker.config.baseJobTemplate -}}
{{- if or .existingConfigMapName .configuration -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sempre-worker.args" -}}
{{- $config := .worker.config -}}
{{- $args := list "prefect" "worker" "start" "--type" $config.type "--pool" (tpl $config.workPool .root) "--install-policy" $config.installPolicy -}}
{{- range $config.workQueues }}{{ $args = concat $args (list "--work-queue" .) }}{{ end -}}
{{- with $config.limit }}{{ $args = concat $args (list "--limit" (toString .)) }}{{ end -}}
{{- with $config.name }}{{ $args = concat $args (list "--name" (tpl . $.root)) }}{{ end -}}
{{- if include "sempre-worker.template.isGiven" . }}{{ $args = concat $args (list "--base-job-template" "/etc/sempre/baseJobTemplate.json") }}{{ end -}}
{{- if or .worker.livenessProbe.enabled .worker.startupProbe.enabled }}{{ $args = append $args "--with-healthcheck" }}{{ end -}}
{{- concat $args .worker.extraArgs | toYaml -}}
{{- end -}}

{{- define "sempre-worker.grace" -}}
{{- if kindIs "invalid" .worker.terminationGracePeriodSeconds -}}
{{- ternary 300 60 (eq .worker.config.type "process") -}}
{{- else -}}
{{- .worker.terminationGracePeriodSeconds | int -}}
{{- end -}}
{{- end -}}

{{- define "sempre-worker.spread" -}}
{{- if kindIs "invalid" .worker.topologySpreadConstraints -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "sempre-worker.selector" $ | nindent 6 }}
{{- end }}
{{- else if .worker.topologySpreadConstraints }}
{{- tpl (toYaml .worker.topologySpreadConstraints) .root }}
{{- end }}
{{- end -}}

{{- define "sempre-worker.probe" -}}
httpGet:
  path: /health
  port: health
{{ mergeOverwrite (omit . "enabled" "config") (default dict .config) | toYaml }}
{{- end -}}

{{- define "sempre-worker.mounts" -}}
- name: home
  mountPath: /home/prefect
- name: tmp
  mountPath: /tmp
{{- if include "sempre-worker.template.isGiven" . }}
- name: base-job-template
  mountPath: /etc/sempre
  readOnly: true
{{- end }}
{{- with .worker.extraVolumeMounts }}
{{ tpl (toYaml .) $.root }}
{{- end }}
{{- end -}}

{{/* Image, command, environment and so on that the worker and the update of its pool share. */}}
{{- define "sempre-worker.container" -}}
image: {{ include "sempre-worker.image" . }}
imagePullPolicy: {{ .worker.image.pullPolicy }}
workingDir: /home/prefect
env:
  {{- include "sempre-worker.env" . | trim | nindent 2 }}
{{- if or .worker.extraEnvVarsCM .worker.extraEnvVarsSecret }}
envFrom:
  {{- with .worker.extraEnvVarsCM }}
  - configMapRef:
      name: {{ . }}
  {{- end }}
  {{- with .worker.extraEnvVarsSecret }}
  - secretRef:
      name: {{ . }}
  {{- end }}
{{- end }}
{{- with .worker.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .worker.containerSecurityContext | nindent 2 }}
volumeMounts:
  {{- include "sempre-worker.mounts" . | nindent 2 }}
{{- end -}}

{{- define "sempre-worker.pod" -}}
{{- $root := .root -}}
{{- $worker := .worker -}}
metadata:
  labels:
    {{- include "sempre-worker.selector" . | nindent 4 }}
    {{- with merge (dict) $worker.podLabels $root.Values.commonLabels }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
  annotations:
    # What the pods have to start again for.
    checksum/config: {{ printf "%s\n%s" (include "sempre-worker.template.text" .) $worker.selfHostedServerApiConfig.basicAuth.authString | sha256sum | trunc 16 }}
    {{- with merge (dict) $worker.podAnnotations $root.Values.commonAnnotations }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
spec:
  {{- with $worker.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ if kindIs "string" . }}{{ . }}{{ else }}{{ .name }}{{ end }}
    {{- end }}
  {{- end }}
  serviceAccountName: {{ include "sempre-worker.serviceAccountName" $root }}
  # Only workers that make jobs talk to the cluster.
  automountServiceAccountToken: {{ eq $worker.config.type "kubernetes" }}
  # Services would otherwise become variables that look like settings.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "sempre-worker.grace" . }}
  {{- with $worker.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- toYaml $worker.podSecurityContext | nindent 4 }}
  {{- with $worker.nodeSelector }}
  nodeSelector:
    {{- tpl (toYaml .) $root | nindent 4 }}
  {{- end }}
  {{- with $worker.affinity }}
  affinity:
    {{- tpl (toYaml .) $root | nindent 4 }}
  {{- end }}
  {{- with $worker.tolerations }}
  tolerations:
    {{- tpl (toYaml .) $root | nindent 4 }}
  {{- end }}
  {{- with include "sempre-worker.spread" . }}
  topologySpreadConstraints:
    {{- . | trim | nindent 4 }}
  {{- end }}
  {{- if or $worker.extraInitContainers (include "sempre-worker.template.isGiven" .) }}
  initContainers:
    {{- with $worker.extraInitContainers }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
    {{- if include "sempre-worker.template.isGiven" . }}
    # A pool that is there already gets the template here; one that is not, from the worker.
    - name: update-base-job-template
      command: ["/bin/sh", "-c"]
      args:
        - |
          if prefect work-pool inspect "$1" > /dev/null 2>&1; then
            prefect work-pool update "$1" --base-job-template /etc/sempre/baseJobTemplate.json
          fi
        - update
        - {{ tpl $worker.config.workPool $root | quote }}
      {{- include "sempre-worker.container" . | nindent 6 }}
    {{- end }}
  {{- end }}
  containers:
    - name: worker
      command:
        {{- if $worker.command }}
        {{- tpl (toYaml $worker.command) $root | nindent 8 }}
        {{- else }}
        - /usr/bin/tini
        - -g
        - --
        - /opt/prefect/entrypoint.sh
        {{- end }}
      args:
        {{- if $worker.args }}
        {{- tpl (toYaml $worker.args) $root | nindent 8 }}
        {{- else }}
        {{- include "sempre-worker.args" . | nindent 8 }}
        {{- end }}
      {{- include "sempre-worker.container" . | nindent 6 }}
      ports:
        - name: health
          containerPort: 8080
          protocol: TCP
      {{- if $worker.startupProbe.enabled }}
      startupProbe:
        {{- include "sempre-worker.probe" $worker.startupProbe | nindent 8 }}
      {{- end }}
      {{- if $worker.livenessProbe.enabled }}
      livenessProbe:
        {{- include "sempre-worker.probe" $worker.livenessProbe | nindent 8 }}
      {{- end }}
      {{- with $worker.lifecycle }}
      lifecycle:
        {{- tpl (toYaml .) $root | nindent 8 }}
      {{- end }}
    {{- with $worker.extraContainers }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
  volumes:
    - name: home
      emptyDir: {}
    - name: tmp
      emptyDir: {}
    {{- if include "sempre-worker.template.isGiven" . }}
    - name: base-job-template
      configMap:
        name: {{ include "sempre-worker.template.configMap" . }}
    {{- end }}
    {{- with $worker.extraVolumes }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
{{- end -}}
