{{/* The pod of API and services, which differ in little. */}}

{{/* dict "probe" <values> "root" $ "port" <name> */}}
{{- define "sempre-server.probe" -}}
httpGet:
  path: {{ tpl .probe.path .root }}
  port: {{ .port }}
{{ omit .probe "enabled" "path" | toYaml }}
{{- end -}}

{{/* Spread over nodes and zones where possible: dict "root" $ "component" "server" "values" <values>. */}}
{{- define "sempre-server.spread" -}}
{{- if kindIs "invalid" .values.topologySpreadConstraints -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "sempre-server.selector" $ | nindent 6 }}
{{- end }}
{{- else if .values.topologySpreadConstraints }}
{{- tpl (toYaml .values.topologySpreadConstraints) .root }}
{{- end }}
{{- end -}}

{{/*
The template of a Deployment's pods:
dict "root" $ "component" <label> "values" <.Values.server or .Values.backgroundServices, perhaps with a group's>
     "serviceAccount" <name> "args" <list> "env" <text> "port" (dict "name" "number") "grace" <seconds> "embedded" <bool>
*/}}
{{- define "sempre-server.pod" -}}
{{- $root := .root -}}
{{- $values := .values -}}
metadata:
  labels:
    {{- include "sempre-server.selector" . | nindent 4 }}
    sempre/role: {{ ternary "services" "server" (hasPrefix "background-services" .component) }}
    {{- with merge (dict) $values.podLabels $root.Values.commonLabels }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
  annotations:
    checksum/secrets: {{ include "sempre-server.secrets.checksum" $root }}
    {{- if $root.Values.istio.enabled }}
    proxy.istio.io/config: '{"holdApplicationUntilProxyStarts": true}'
    {{- end }}
    {{- with merge (dict) $values.podAnnotations $root.Values.commonAnnotations }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
spec:
  {{- include "sempre-server.image.pullSecrets" $root | trim | nindent 2 }}
  serviceAccountName: {{ .serviceAccount }}
  automountServiceAccountToken: {{ $values.automountServiceAccountToken }}
  # A Service called sempre-server would otherwise become variables that look like settings.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- toYaml $values.podSecurityContext | nindent 4 }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- tpl (toYaml .) $root | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- tpl (toYaml .) $root | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- tpl (toYaml .) $root | nindent 4 }}
  {{- end }}
  {{- if not .embedded }}
  {{- with include "sempre-server.spread" . }}
  topologySpreadConstraints:
    {{- . | trim | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with $values.extraInitContainers }}
  initContainers:
    {{- tpl (toYaml .) $root | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .component }}
      {{- include "sempre-server.container" . | nindent 6 }}
    {{- with $values.extraContainers }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "sempre-server.pod.volumes" . | trim | nindent 4 }}
{{- end -}}

{{- define "sempre-server.container" -}}
{{- $root := .root -}}
{{- $values := .values -}}
image: {{ include "sempre-server.image" $root }}
imagePullPolicy: {{ include "sempre-server.image.pullPolicy" $root }}
command:
  {{- if $values.command }}
  {{- tpl (toYaml $values.command) $root | nindent 2 }}
  {{- else }}
  - /usr/bin/tini
  - -g
  - --
  - /opt/prefect/entrypoint.sh
  {{- end }}
args:
  {{- if $values.args }}
  {{- tpl (toYaml $values.args) $root | nindent 2 }}
  {{- else }}
  {{- concat .args $values.extraArgs | toYaml | nindent 2 }}
  {{- end }}
workingDir: /home/prefect
env:
  {{- .env | trim | nindent 2 }}
{{- include "sempre-server.env.from" $values }}
ports:
  - name: {{ .port.name }}
    containerPort: {{ .port.number }}
    protocol: TCP
{{- if $values.startupProbe.enabled }}
startupProbe:
  {{- include "sempre-server.probe" (dict "probe" $values.startupProbe "root" $root "port" .port.name) | nindent 2 }}
{{- end }}
{{- if $values.livenessProbe.enabled }}
livenessProbe:
  {{- include "sempre-server.probe" (dict "probe" $values.livenessProbe "root" $root "port" .port.name) | nindent 2 }}
{{- end }}
{{- if $values.readinessProbe.enabled }}
readinessProbe:
  {{- include "sempre-server.probe" (dict "probe" $values.readinessProbe "root" $root "port" .port.name) | nindent 2 }}
{{- end }}
{{- with $values.lifecycle }}
lifecycle:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $values.containerSecurityContext | nindent 2 }}
volumeMounts:
  - name: home
    mountPath: /home/prefect
  - name: tmp
    mountPath: /tmp
  {{- if and (eq .component "server") $root.Values.server.uiConfig.prefectUiStaticDirectory }}
  - name: ui-build
    mountPath: {{ $root.Values.server.uiConfig.prefectUiStaticDirectory }}
  {{- end }}
  {{- if .embedded }}
  - name: data
    mountPath: /data
  - name: shared-memory
    mountPath: /dev/shm
  {{- end }}
  {{- include "sempre-server.database.mounts" $root | trim | nindent 2 }}
  {{- with $values.extraVolumeMounts }}
  {{- tpl (toYaml .) $root | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "sempre-server.pod.volumes" -}}
{{- $root := .root -}}
- name: home
  emptyDir: {}
- name: tmp
  emptyDir: {}
{{- if and (eq .component "server") $root.Values.server.uiConfig.prefectUiStaticDirectory }}
- name: ui-build
  emptyDir: {}
{{- end }}
{{- if .embedded }}
- name: data
  {{- if include "sempre-server.embedded.isPersistent" $root }}
  persistentVolumeClaim:
    claimName: {{ include "sempre-server.embedded.claim" $root }}
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: shared-memory
  emptyDir:
    medium: Memory
    sizeLimit: 256Mi
{{- end }}
{{ include "sempre-server.database.volumes" $root | trim }}
{{- with .values.extraVolumes }}
{{ tpl (toYaml .) $root }}
{{- end }}
{{- end -}}
