{{- define "sidestep.labels" -}}
app.kubernetes.io/name: sidestep
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "sidestep.selector" -}}
app.kubernetes.io/name: sidestep
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Roles are for the whole cluster: their names carry the namespace and the release. */}}
{{- define "sidestep.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace "sidestep-controller" }}
{{- end }}

{{- define "sidestep.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}
