package meshtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// Text turns lines into manifests, so that a scenario shows what matters in it:
//
//	strict                           mutual TLS is STRICT in the whole mesh
//	no-hbone                         sidecars do not listen on HBONE
//	namespace app [inject]
//	Deployment app/s 8080 9102 [label=value] [@annotation=value]
//	StatefulSet db/pg 5432
//	CronJob app/tick                 Job, DaemonSet likewise
//	gateway edge/gw                  an ingress gateway of Istio's own
//	service app/s 80:8080 [headless] [loadbalancer] [for=OTHER] [sel=label:value] [@label=value]
//	waypoint app/waypoint
//	policy app/p ALLOW [for=s] [sel=label:value] [target=SERVICE] [provider=ext] [@annotation=value] | rule as JSON | rule as JSON
//	jwt app/j [for=s]
//	peer app/p STRICT [for=s]
func Text(lines string) (string, error) {
	m := &textMesh{mtls: "PERMISSIVE", hbone: true}
	for n, line := range strings.Split(lines, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := m.line(line); err != nil {
			return "", fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	return m.yaml(), nil
}

type textMesh struct {
	docs  []string
	mtls  string
	hbone bool
	vips  int
}

func (m *textMesh) add(format string, args ...any) {
	m.docs = append(m.docs, fmt.Sprintf(format, args...))
}

func (m *textMesh) yaml() string {
	metadata := ""
	if m.hbone {
		metadata = "    defaultConfig:\n      proxyMetadata:\n        ISTIO_META_ENABLE_HBONE: 'true'\n"
	}
	head := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    rootNamespace: istio-system\n    trustDomain: cluster.local\n" +
		"    extensionProviders:\n    - name: ext\n      envoyExtAuthzHttp: {service: ext.istio-system.svc.cluster.local, port: 8000}\n" + metadata
	out := append([]string{head, "apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}\n"}, m.docs...)
	if m.mtls == "STRICT" {
		out = append(out, "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: istio-system}\nspec: {mtls: {mode: STRICT}}\n")
	}
	return strings.Join(out, "---\n")
}

// words are the parts of a line: the name, plain words, and options by their keys.
type words struct {
	namespace, name string
	plain           []string
	options         map[string]string
}

func wordsOf(fields []string) words {
	w := words{options: map[string]string{}}
	if len(fields) > 0 {
		w.namespace, w.name, _ = strings.Cut(fields[0], "/")
		fields = fields[1:]
	}
	for _, f := range fields {
		if key, value, ok := strings.Cut(f, "="); ok {
			w.options[key] = value
		} else {
			w.plain = append(w.plain, f)
		}
	}
	return w
}

func (m *textMesh) line(line string) error {
	head, rules, _ := strings.Cut(line, "|")
	fields := strings.Fields(head)
	w := wordsOf(fields[1:])
	switch kind := fields[0]; kind {
	case "strict":
		m.mtls = "STRICT"
	case "no-hbone":
		m.hbone = false
	case "namespace":
		labels := "{}"
		if slices.Contains(w.plain, "inject") {
			labels = "{istio-injection: enabled}"
		}
		m.add("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: %s}\n", w.namespace, labels)
	case "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob":
		m.workload(kind, w)
	case "gateway":
		m.workload("Deployment", words{namespace: w.namespace, name: w.name, plain: []string{"8080"}, options: map[string]string{"istio": "ingressgateway", "@" + mesh.AnnotationTemplates: "gateway"}})
	case "service":
		m.service(w)
	case "waypoint":
		m.add("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: %s, namespace: %s}\nspec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\n", w.name, w.namespace)
	case "policy":
		provider := ""
		if p := w.options["provider"]; p != "" {
			provider = "  provider: {name: " + p + "}\n"
		}
		m.add("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: %s, namespace: %s, annotations: {%s}}\nspec:\n  action: %s\n%s%s%s", w.name, w.namespace, w.notes(), w.plain[0], provider, selectorText(w), rulesText(rules))
	case "jwt":
		m.add("apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: %s, namespace: %s}\nspec:\n  jwtRules: [{issuer: 'https://idp.example', jwksUri: 'https://idp.example/keys'}]\n%s", w.name, w.namespace, selectorText(w))
	case "peer":
		m.add("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: %s, namespace: %s}\nspec:\n  mtls: {mode: %s}\n%s", w.name, w.namespace, w.plain[0], selectorText(w))
	default:
		return fmt.Errorf("%q: no such line", kind)
	}
	return nil
}

func selectorText(w words) string {
	if s := w.options["for"]; s != "" {
		return "  selector: {matchLabels: {app: " + s + "}}\n"
	}
	if s := w.options["sel"]; s != "" {
		return "  selector: {matchLabels: {" + strings.ReplaceAll(s, ":", ": ") + "}}\n"
	}
	if s := w.options["target"]; s != "" {
		return "  targetRefs: [{group: '', kind: Service, name: " + s + "}]\n"
	}
	return ""
}

// notes are the options that begin with @, as annotations or labels.
func (w words) notes() string {
	out := ""
	for _, k := range sortedKeysOf(w.options) {
		if name, ok := strings.CutPrefix(k, "@"); ok {
			out += name + ": '" + w.options[k] + "', "
		}
	}
	return out
}

func rulesText(rules string) string {
	if strings.TrimSpace(rules) == "" {
		return ""
	}
	out := "  rules:\n"
	for _, r := range strings.Split(rules, "|") {
		out += "  - " + strings.TrimSpace(r) + "\n"
	}
	return out
}

func (m *textMesh) workload(kind string, w words) {
	labels, annotations := "app: "+w.name, w.notes()
	for _, k := range sortedKeysOf(w.options) {
		if !strings.HasPrefix(k, "@") {
			labels += ", " + k + ": '" + w.options[k] + "'"
		}
	}
	ports := ""
	for _, p := range w.plain {
		ports += "{containerPort: " + p + "}, "
	}
	template := fmt.Sprintf("{metadata: {labels: {%s}, annotations: {%s}}, spec: {serviceAccountName: %s, restartPolicy: Always, containers: [{name: app, image: registry.example/%s, ports: [%s]}]}}", labels, annotations, w.name, w.name, ports)
	version, spec := "apps/v1", fmt.Sprintf("selector: {matchLabels: {app: %s}}\n  template: %s\n", w.name, template)
	switch kind {
	case "StatefulSet":
		spec = "serviceName: " + w.name + "\n  " + spec
	case "Job":
		version, spec = "batch/v1", "template: "+template+"\n"
	case "CronJob":
		version, spec = "batch/v1", "schedule: '0 * * * *'\n  jobTemplate: {spec: {template: "+template+"}}\n"
	}
	m.add("apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: %s}\nspec:\n  %s", version, kind, w.name, w.namespace, spec)
}

func (m *textMesh) service(w words) {
	m.vips++
	selected, ip, kind := "app: "+w.name, fmt.Sprintf("10.96.%d.%d", m.vips/250, m.vips%250+1), "ClusterIP"
	if s := w.options["for"]; s != "" {
		selected = "app: " + s
	}
	if s := w.options["sel"]; s != "" {
		selected = strings.ReplaceAll(s, ":", ": ")
	}
	ports := ""
	for _, p := range w.plain {
		switch p {
		case "headless":
			ip = "None"
		case "loadbalancer":
			kind = "LoadBalancer"
		default:
			port, target, _ := strings.Cut(p, ":")
			protocol := "http"
			if name, rest, named := strings.Cut(port, "-"); named {
				protocol, port = name, rest
			}
			if target == "" {
				target = port
			}
			ports += fmt.Sprintf("{name: %s-%s, port: %s, targetPort: %s}, ", protocol, port, port, target)
		}
	}
	m.add("apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s, labels: {%s}}\nspec:\n  type: %s\n  clusterIP: '%s'\n  selector: {%s}\n  ports: [%s]\n", w.name, w.namespace, w.notes(), kind, ip, selected, ports)
}

func sortedKeysOf(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
