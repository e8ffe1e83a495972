package generate

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// platform is where a cluster runs, as far as an installation differs by it.
type platform struct {
	name string
	// value is global.platform of Istio's charts; one that they do not know makes them fail, so it is empty where they have no profile.
	value string
	// agents is the namespace of istio-cni and ztunnel: OpenShift runs privileged pods in kube-system alone.
	agents string
	// nodeLabels and provider tell it from its nodes.
	nodeLabels []string
	provider   string
	// notes are what a person has to see to, since no value of a chart does.
	notes []string
}

const istioSystem = "istio-system"

// platforms are those that generate install knows (istio/istio manifests/helm-profiles/platform-*.yaml).
func platforms() []platform {
	return []platform{
		{name: "plain", agents: istioSystem},
		{name: "eks", agents: istioSystem, nodeLabels: []string{"eks.amazonaws.com/nodegroup", "alpha.eksctl.io/cluster-name"}, provider: "aws://", notes: []string{
			"Pods with security groups of their own need POD_SECURITY_GROUP_ENFORCING_MODE=standard in the VPC CNI (kubectl set env -n kube-system daemonset aws-node ...): in strict mode kubelet probes do not reach ambient pods.",
			"Fargate nodes run no DaemonSets: pods there keep their sidecar."}},
		{name: "gke", value: "gke", agents: istioSystem, nodeLabels: []string{"cloud.google.com/gke-nodepool"}, provider: "gce://", notes: []string{
			"The platform value adds the ResourceQuotas that GKE asks of system-node-critical pods outside kube-system (Istio 1.25 and later).",
			"GKE Autopilot admits no privileged DaemonSet that is not allow-listed: ask there first."}},
		{name: "aks", agents: istioSystem, nodeLabels: []string{"kubernetes.azure.com/cluster"}, provider: "azure://", notes: []string{
			"The charts have no AKS profile and need none. With Azure CNI powered by Cilium see that cni-exclusive is false (sidestep doctor --check cluster-network)."}},
		{name: "openshift", value: "openshift", agents: "kube-system", nodeLabels: []string{"node.openshift.io/os_id"}, notes: []string{
			"istio-cni and ztunnel go to kube-system; the platform value makes istiod trust ztunnel there.",
			"OVN-Kubernetes has to be in local gateway mode: oc patch networks.operator.openshift.io cluster --type=merge -p '{\"spec\":{\"defaultNetwork\":{\"ovnKubernetesConfig\":{\"gatewayConfig\":{\"routingViaHost\":true}}}}}'"}},
		{name: "k3s", value: "k3s", agents: istioSystem, nodeLabels: []string{"k3s.io/hostname"}, provider: "k3s://"},
		{name: "minikube", value: "minikube", agents: istioSystem, nodeLabels: []string{"minikube.k8s.io/name"}, notes: []string{
			"The platform value is for the docker driver; with another driver leave it out."}},
	}
}

// PlatformNames are the values of --platform.
func PlatformNames() []string {
	var out []string
	for _, p := range platforms() {
		out = append(out, p.name)
	}
	return out
}

func platformOf(name string) (platform, bool) {
	i := slices.IndexFunc(platforms(), func(p platform) bool { return p.name == name })
	if i < 0 {
		return platform{}, false
	}
	return platforms()[i], true
}

// seenPlatform is what the nodes say; plain when they say nothing.
func seenPlatform(nodes []*corev1.Node) string {
	for _, n := range nodes {
		for _, p := range platforms() {
			byLabel := slices.ContainsFunc(p.nodeLabels, func(l string) bool { _, ok := n.Labels[l]; return ok })
			if byLabel || p.provider != "" && strings.HasPrefix(n.Spec.ProviderID, p.provider) {
				return p.name
			}
		}
	}
	return "plain"
}

// InstallOptions are what a person chooses.
type InstallOptions struct {
	// Platform is one of PlatformNames; empty for what the nodes say.
	Platform string
	// Version is Istio's, such as 1.31.1; empty for the newest that is known to be sound.
	Version string
	// Tracing is HOST:PORT of an OpenTelemetry collector (OTLP over gRPC); empty for no tracing.
	Tracing string
}

// newestSound is the newest release of Istio that this program knows no fault of in ambient mode.
const newestSound = "1.31.1"

// oldestMinor is the first whose charts know platforms.
const oldestMinor = 24

// Images and charts from 1.31 on; the former hosts are switched off in December 2026.
const (
	imageHub  = "docker.io/istio"
	chartRepo = "oci://ghcr.io/istio/release/charts"
)

// Install is everything that a hybrid installation is generated from.
type Install struct {
	platform platform
	version  string
	minor    int
	tracing  [2]string // host and port
	// Nodes, Pods and Proxies are counts of the cluster: pods are those of the mesh, proxies those that istiod serves before the move.
	Nodes, Pods, Proxies int
	config               map[string]any
	revision             string
	preflight            []string
	restarts             []string
}

var fullVersion = regexp.MustCompile(`^1\.(\d+)\.(\d+)$`)

// NewInstall reads a cluster; m may be of an empty snapshot.
func NewInstall(m *mesh.Mesh, o InstallOptions) (*Install, error) {
	i := &Install{version: cmp.Or(o.Version, newestSound)}
	match := fullVersion.FindStringSubmatch(i.version)
	if match == nil {
		return nil, fmt.Errorf("Istio version %q: want a full one such as %s, since images have no other tags", i.version, newestSound)
	}
	i.minor, _ = strconv.Atoi(match[1]) // digits only
	if i.minor < oldestMinor {
		return nil, fmt.Errorf("Istio %s: its charts know no platforms, and 1.%d is the first whose do; upgrade before you enable ambient mode", i.version, oldestMinor)
	}
	if o.Tracing != "" {
		host, port, ok := strings.Cut(o.Tracing, ":")
		if n, err := strconv.Atoi(port); !ok || host == "" || err != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("tracing %q: want HOST:PORT of a collector, such as otel-collector.observability.svc.cluster.local:4317", o.Tracing)
		}
		i.tracing = [2]string{host, port}
	}
	nodes := snapshot.All[*corev1.Node](m.Snapshot)
	seen := seenPlatform(nodes)
	var ok bool
	if i.platform, ok = platformOf(cmp.Or(o.Platform, seen)); !ok {
		return nil, fmt.Errorf("platform %q: use one of %s", o.Platform, strings.Join(PlatformNames(), ", "))
	}
	if o.Platform != "" && seen != "plain" && seen != o.Platform {
		i.preflight = append(i.preflight, fmt.Sprintf("The nodes look like %s, and these files are for %s.", seen, o.Platform))
	}
	i.Nodes = len(nodes)
	for _, w := range m.Workloads {
		switch w.Role {
		case mesh.Application:
			i.Pods += w.Replicas
			if w.Mode == mesh.Sidecar {
				i.Proxies += w.Replicas
			}
		case mesh.Gateway, mesh.Waypoint:
			i.Proxies += w.Replicas
		}
	}
	if err := i.readConfig(m); err != nil {
		return nil, err
	}
	i.check(m, nodes)
	return i, nil
}

// readConfig takes the mesh configuration over: what a chart is given replaces what stood there.
func (i *Install) readConfig(m *mesh.Mesh) error {
	i.config = map[string]any{}
	var found *corev1.ConfigMap
	for _, cm := range snapshot.All[*corev1.ConfigMap](m.Snapshot) {
		name, revision, _ := strings.Cut(cm.Name, "-")
		if name != "istio" || cm.Data["mesh"] == "" {
			continue
		}
		if found == nil || revision == "" { // the default revision before others
			found, i.revision = cm, revision
		}
	}
	if found == nil {
		return nil
	}
	if err := yaml.Unmarshal([]byte(found.Data["mesh"]), &i.config); err != nil {
		return fmt.Errorf("ConfigMap %s/%s: data.mesh: %w", found.Namespace, found.Name, err)
	}
	if removeHidden(i.config) {
		i.preflight = append(i.preflight, fmt.Sprintf("ConfigMap %s/%s holds values that a snapshot leaves out as secrets: put them back into meshConfig before you use these files.", found.Namespace, found.Name))
	}
	return nil
}

// removeHidden takes out what a snapshot has hidden, and reports whether there was any.
func removeHidden(v any) bool {
	found := false
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok && strings.Contains(s, snapshot.HiddenValue) {
				delete(v, k)
				found = true
			} else {
				found = removeHidden(x) || found
			}
		}
	case []any:
		for _, x := range v {
			found = removeHidden(x) || found
		}
	}
	return found
}

// section is the map under a key, made when it is not there.
func section(m map[string]any, path ...string) map[string]any {
	for _, k := range path {
		next, ok := m[k].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[k] = next
		}
		m = next
	}
	return m
}

// tracingProvider is the name of the extension provider that is made for --tracing.
const tracingProvider = "sidestep-tracing"

// meshConfig is the cluster's with what the hybrid needs.
func (i *Install) meshConfig() map[string]any {
	section(i.config, "defaultConfig", "proxyMetadata")["ISTIO_META_ENABLE_HBONE"] = "true"
	if _, set := i.config["hboneIdleTimeout"]; !set && i.minor >= 29 {
		i.config["hboneIdleTimeout"] = "15s"
	}
	if i.tracing[0] != "" {
		port, _ := strconv.Atoi(i.tracing[1]) // checked by NewInstall
		providers, _ := i.config["extensionProviders"].([]any)
		providers = slices.DeleteFunc(slices.Clone(providers), func(p any) bool { m, _ := p.(map[string]any); return m["name"] == tracingProvider })
		i.config["extensionProviders"] = append(providers, map[string]any{"name": tracingProvider, "opentelemetry": map[string]any{"service": i.tracing[0], "port": port}})
	}
	return i.config
}

// pilot are istiod's own settings, sized by the proxies it serves.
func (i *Install) pilot() map[string]any {
	env := map[string]any{"PILOT_ENABLE_AMBIENT": "true"}
	// A ztunnel that reconnects sends the names of all that it knows, about 1 MiB for 10,000 workloads; gRPC admits 4 MiB.
	if need := i.Pods / 10_000; need >= 2 {
		env["ISTIO_GPRC_MAXRECVMSGSIZE"] = strconv.Itoa(max(4, 2*need+2) << 20)
	}
	out := map[string]any{"env": env, "resources": map[string]any{"requests": map[string]any{"cpu": "500m", "memory": "2Gi"}}}
	served := i.Proxies + i.Nodes
	if served > 2_000 {
		out["resources"] = map[string]any{"requests": map[string]any{"cpu": "1", "memory": "4Gi"}}
	}
	if i.Nodes != 1 {
		out["autoscaleMin"] = 2 + served/5_000
		out["autoscaleMax"] = max(5, 2*(2+served/5_000))
	}
	return out
}

// ztunnel is sized by the pods of the mesh: every ztunnel knows all of them.
func (i *Install) ztunnel() map[string]any {
	memory := "256Mi"
	if i.Pods == 0 || i.Pods > 10_000 {
		memory = "512Mi"
	}
	return map[string]any{"requests": map[string]any{"cpu": "200m", "memory": memory}}
}

func (i *Install) global() map[string]any {
	g := map[string]any{"hub": imageHub, "tag": i.version, "waypoint": map[string]any{"topologySpreadConstraints": []any{map[string]any{
		"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
		"labelSelector": map[string]any{"matchExpressions": []any{map[string]any{"key": mesh.LabelGatewayName, "operator": "Exists"}}}}}}}
	if i.platform.value != "" {
		g["platform"] = i.platform.value
	}
	return g
}
