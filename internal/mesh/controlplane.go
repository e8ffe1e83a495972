package mesh

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	registryOnly   = "REGISTRY_ONLY"
	envEnableHBONE = "ISTIO_META_ENABLE_HBONE"
	// envDisableHBONE keeps an Envoy from sending HBONE; it says nothing of what it listens on.
	envDisableHBONE = "ISTIO_META_DISABLE_HBONE_SEND"
	envDNSCapture   = "ISTIO_META_DNS_CAPTURE"
)

// controlPlane is one revision of istiod with its configuration. Any part may be missing.
type controlPlane struct {
	revision string
	istiod   Ref
	minor    int
	vars     map[string]string
	mesh     meshConfig
	meshRef  Ref
	// namespace is where meshRef says that istiod lives.
	namespace string
	// settings is the text of mesh and client.
	settings string
	injector *injectorConfig
	// domain is istiod's --domain, empty where it is not given; client is what mesh configuration says of clients.
	domain string
	client ClientDefaults
	// networks are those of meshNetworks.
	networks []string
}

// env returns an environment variable of istiod, from its Deployment or from the chart's values.
func (c *controlPlane) env(name string) string {
	if v, ok := c.vars[name]; ok {
		return v
	}
	if c.injector != nil {
		return c.injector.values.Pilot.Env[name].text()
	}
	return ""
}

// meshConfig is the part of meshConfig that a fact is read from
// (https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/).
type meshConfig struct {
	RootNamespace           string   `json:"rootNamespace"`
	TrustDomain             string   `json:"trustDomain"`
	TrustDomainAliases      []string `json:"trustDomainAliases"`
	EnablePrometheusMerge   *bool    `json:"enablePrometheusMerge"`
	EnableAutoMTLS          *bool    `json:"enableAutoMtls"`
	DestinationRuleExportTo []string `json:"defaultDestinationRuleExportTo"`
	AccessLogFile           string   `json:"accessLogFile"`
	OutboundTrafficPolicy   struct {
		Mode string `json:"mode"`
	} `json:"outboundTrafficPolicy"`
	DefaultConfig    proxySettings `json:"defaultConfig"`
	DefaultProviders struct {
		Tracing       []string `json:"tracing"`
		AccessLogging []string `json:"accessLogging"`
	} `json:"defaultProviders"`
	Providers []map[string]json.RawMessage `json:"extensionProviders"`
}

func (m *meshConfig) proxyMetadata(name string) string {
	return m.DefaultConfig.ProxyMetadata[name].text()
}

// extensionProviders lists providers by name; the type is the one field besides the name.
func (m *meshConfig) extensionProviders() []ExtensionProvider {
	var out []ExtensionProvider
	for _, p := range m.Providers {
		var e ExtensionProvider
		_ = json.Unmarshal(p["name"], &e.Name) // a provider without readable name is kept, nameless
		for key := range p {
			if key != "name" && (e.Type == "" || key < e.Type) {
				e.Type = key
			}
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b ExtensionProvider) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// injectorConfig is what the injector's ConfigMap says.
type injectorConfig struct {
	ref    Ref
	config struct {
		Policy               string                 `json:"policy"`
		NeverInjectSelector  []metav1.LabelSelector `json:"neverInjectSelector"`
		AlwaysInjectSelector []metav1.LabelSelector `json:"alwaysInjectSelector"`
	}
	values struct {
		Revision string `json:"revision"`
		Global   struct {
			Tag                scalar `json:"tag"`
			RemotePilotAddress string `json:"remotePilotAddress"`
			Proxy              struct {
				ClusterDomain        string `json:"clusterDomain"`
				IncludeIPRanges      scalar `json:"includeIPRanges"`
				ExcludeIPRanges      scalar `json:"excludeIPRanges"`
				IncludeInboundPorts  scalar `json:"includeInboundPorts"`
				ExcludeInboundPorts  scalar `json:"excludeInboundPorts"`
				IncludeOutboundPorts scalar `json:"includeOutboundPorts"`
				ExcludeOutboundPorts scalar `json:"excludeOutboundPorts"`
				Resources            struct {
					Requests struct {
						CPU    scalar `json:"cpu"`
						Memory scalar `json:"memory"`
					} `json:"requests"`
				} `json:"resources"`
			} `json:"proxy"`
		} `json:"global"`
		Pilot struct {
			Env map[string]scalar `json:"env"`
		} `json:"pilot"`
	}
	never, always []selector
	// spire tells that a template mounts SPIRE's CSI volume.
	spire bool
}

// requests returns the default sidecar requests, when both are readable.
func (c *injectorConfig) requests() (cpuMilli, memoryBytes int64, ok bool) {
	if c == nil {
		return 0, 0, false
	}
	r := c.values.Global.Proxy.Resources.Requests
	cpu, err1 := resource.ParseQuantity(r.CPU.text())
	mem, err2 := resource.ParseQuantity(r.Memory.text())
	if err1 != nil || err2 != nil {
		return 0, 0, false
	}
	return cpu.MilliValue(), mem.Value(), true
}

// scalar is a YAML scalar of any type; people write true and "true", 1.31 and "1.31".
type scalar struct{ json.RawMessage }

func (s *scalar) UnmarshalJSON(b []byte) error { s.RawMessage = slices.Clone(b); return nil }

func (s scalar) text() string {
	var out string
	if json.Unmarshal(s.RawMessage, &out) == nil {
		return out
	}
	if string(s.RawMessage) == "null" {
		return ""
	}
	return string(s.RawMessage)
}

// readControlPlanes finds every istiod, mesh config and injector config, joined by revision.
func (b *builder) readControlPlanes() {
	byRevision := map[string]*controlPlane{}
	plane := func(revision string) *controlPlane {
		if byRevision[revision] == nil {
			byRevision[revision] = &controlPlane{revision: revision, vars: map[string]string{}}
		}
		return byRevision[revision]
	}
	for _, d := range snapshot.All[*appsv1.Deployment](b.snap) {
		if roleOf(d.Labels, &d.Spec.Template) != Istiod {
			continue
		}
		cp := plane(revisionOf(d.Labels))
		cp.istiod = Ref{Kind: "Deployment", Namespace: d.Namespace, Name: d.Name}
		cp.minor = minorOfWorkload(d.Labels, &d.Spec.Template)
		cp.domain = clusterDomainOf(d)
		for _, c := range d.Spec.Template.Spec.Containers {
			for _, e := range c.Env {
				if e.ValueFrom == nil {
					cp.vars[e.Name] = e.Value
				}
			}
		}
	}
	var installations []*corev1.ConfigMap
	for _, cm := range snapshot.All[*corev1.ConfigMap](b.snap) {
		switch {
		case strings.HasPrefix(cm.Name, snapshot.InstallationPrefix):
			installations = append(installations, cm)
		case cm.Data["mesh"] != "" && (cm.Name == "istio" || strings.HasPrefix(cm.Name, "istio-")):
			b.readMeshConfig(plane(revisionOf(cm.Labels)), cm)
		case cm.Data["config"] != "" && strings.HasPrefix(cm.Name, "istio-sidecar-injector"):
			b.readInjectorConfig(plane(revisionOf(cm.Labels)), cm)
		}
	}
	var said *corev1.ConfigMap
	for _, cm := range installations {
		if cm.Name == snapshot.SaidInstallation {
			said = cm
			continue
		}
		b.readInstallation(plane(cmp.Or(cm.Data["revision"], DefaultRevision)), cm)
	}
	if said != nil {
		if len(byRevision) == 0 {
			plane(DefaultRevision)
		}
		for _, revision := range slices.Sorted(maps.Keys(byRevision)) {
			b.readInstallation(plane(revision), said)
		}
	}
	for _, cp := range byRevision {
		if cp.minor == 0 && cp.injector != nil {
			cp.minor = minorOf(cp.injector.values.Global.Tag.text())
		}
		b.planes = append(b.planes, cp)
	}
	slices.SortFunc(b.planes, func(x, y *controlPlane) int { return strings.Compare(x.revision, y.revision) })
}

// primaryConfig is the control plane whose mesh configuration stands for the mesh: that of the revision
// that plain istio-injection=enabled selects, else the one named default, else the first that has one.
// Never nil.
func (b *builder) primaryConfig() *controlPlane {
	selected := func(c *controlPlane) bool {
		return slices.ContainsFunc(b.mesh.Settings.Revisions, func(r Revision) bool { return r.Default && r.Name == c.revision })
	}
	for _, pass := range []func(*controlPlane) bool{
		func(c *controlPlane) bool { return selected(c) && c.meshRef.Name != "" },
		func(c *controlPlane) bool { return c.revision == DefaultRevision && c.meshRef.Name != "" },
		func(c *controlPlane) bool { return c.meshRef.Name != "" },
		func(*controlPlane) bool { return true },
	} {
		for _, cp := range b.planes {
			if pass(cp) {
				return cp
			}
		}
	}
	return &controlPlane{revision: DefaultRevision}
}

// planeOf returns the control plane that a revision or tag stands for, nil when it is not known.
func (b *builder) planeOf(revision string) *controlPlane {
	for _, r := range b.mesh.Settings.Revisions {
		if slices.Contains(r.Tags, revision) {
			revision = r.Name
			break
		}
	}
	for _, cp := range b.planes {
		if cp.revision == revision {
			return cp
		}
	}
	return nil
}

func (b *builder) readMeshConfig(cp *controlPlane, cm *corev1.ConfigMap) {
	ref := refOf(kindConfigMap, cm)
	if err := yaml.Unmarshal([]byte(cm.Data["mesh"]), &cp.mesh); err != nil {
		cp.mesh = meshConfig{}
		b.problem(ref, "data.mesh", "mesh configuration is not readable, defaults are assumed: "+err.Error())
		return
	}
	cp.meshRef, cp.namespace = ref, cm.Namespace
	cp.settings = cm.Data["mesh"]
	cp.client = readClientDefaults(cm.Data["mesh"])
	cp.client.Ref = ref
	b.readOutside(cp.revision, cm.Data["mesh"])
	var networks struct {
		Networks map[string]json.RawMessage `json:"networks"`
	}
	if yaml.Unmarshal([]byte(cm.Data["meshNetworks"]), &networks) == nil && len(networks.Networks) > 0 {
		b.meshUse(MultiNetwork, evidence(ref, "data.meshNetworks", ""))
		cp.networks = sortedKeys(networks.Networks)
	}
}

// readInstallation lays what an operator's resource asks for over what is installed: it is what the operator will make of the
// ConfigMaps, if they do not say it already.
func (b *builder) readInstallation(cp *controlPlane, cm *corev1.ConfigMap) {
	ref := Ref{Group: cm.Data["group"], Kind: cm.Data["kind"], Name: cm.Data["name"]}
	if err := yaml.Unmarshal([]byte(cm.Data["mesh"]), &cp.mesh); err != nil {
		b.problem(ref, "spec: meshConfig", "mesh configuration is not readable, defaults are assumed: "+err.Error())
		return
	}
	if text := cm.Data["mesh"]; text != "" && (text != "{}" || cp.meshRef.Name == "") {
		cp.settings = laidOver(cp.settings, cm.Data["mesh"])
		cp.client = readClientDefaults(cp.settings)
		cp.client.Ref = ref
		cp.meshRef, cp.namespace = ref, cm.Namespace
	}
	switch minor := minorOf(cm.Data["version"]); {
	case cp.minor == 0:
		cp.minor = minor
	case cm.Name == snapshot.SaidInstallation && minor != 0 && minor != cp.minor:
		b.problem(cp.istiod, "spec.template", fmt.Sprintf("the input shows Istio 1.%d, and --istio-version says 1.%d: what the input shows counts", cp.minor, minor))
	}
	if cm.Data["values"] == "{}" {
		return
	}
	if cp.injector == nil {
		cp.injector = &injectorConfig{ref: ref}
	}
	if err := yaml.Unmarshal([]byte(cm.Data["values"]), &cp.injector.values); err != nil {
		b.problem(ref, "spec.values", "values are not readable, defaults are assumed: "+err.Error())
	}
}

// laidOver returns settings with others, which are readable, in place of their first-level fields.
func laidOver(settings, others string) string {
	all, over := map[string]any{}, map[string]any{}
	if yaml.Unmarshal([]byte(settings), &all) != nil || all == nil {
		all = map[string]any{}
	}
	if yaml.Unmarshal([]byte(others), &over) == nil {
		maps.Copy(all, over)
	}
	out, _ := json.Marshal(all) // made of what YAML was made of: cannot fail
	return string(out)
}

func (b *builder) readInjectorConfig(cp *controlPlane, cm *corev1.ConfigMap) {
	c := &injectorConfig{ref: refOf(kindConfigMap, cm)}
	if err := yaml.Unmarshal([]byte(cm.Data["config"]), &c.config); err != nil {
		b.problem(c.ref, "data.config", "injector configuration is not readable, defaults are assumed: "+err.Error())
	}
	if err := yaml.Unmarshal([]byte(cm.Data["values"]), &c.values); err != nil {
		b.problem(c.ref, "data.values", "injector values are not readable, defaults are assumed: "+err.Error())
	}
	c.never, c.always = compileAll(c.config.NeverInjectSelector), compileAll(c.config.AlwaysInjectSelector)
	c.spire = strings.Contains(cm.Data["config"], spireCSIDriver)
	cp.injector = c
}

func (b *builder) problem(object Ref, field, text string) {
	s := &b.mesh.Settings
	s.Problems = append(s.Problems, Because{Text: text, Evidence: evidence(object, field, "")})
}

// revisionOf reads the revision from an object's labels; objects of the default revision may lack it.
func revisionOf(labels map[string]string) string {
	if r := labels[LabelRevision]; r != "" {
		return r
	}
	return DefaultRevision
}

var versionPattern = regexp.MustCompile(`^v?1\.(\d{1,3})(?:[.\-_]|$)`)

// minorOf reads the minor from a version such as 1.31.0, v1.29.4-distroless or 1.30-alpha.abc; 0 when
// there is none.
func minorOf(version string) int {
	m := versionPattern.FindStringSubmatch(version)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

// imageTag returns the tag of an image reference, empty without one. A registry may have a port and a
// reference may have a digest: registry:5000/istio/pilot:1.31.0@sha256:...
func imageTag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	last := image[strings.LastIndexByte(image, '/')+1:]
	_, tag, _ := strings.Cut(last, ":")
	return tag
}

// imageName returns the last path element without tag and digest: pilot, ztunnel, install-cni.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	last := image[strings.LastIndexByte(image, '/')+1:]
	name, _, _ := strings.Cut(last, ":")
	return name
}

// minorOfWorkload reads a control plane part's minor: the image tag, else the version label that the
// charts set (image references may hold only a digest).
func minorOfWorkload(labels map[string]string, t *corev1.PodTemplateSpec) int {
	for _, c := range t.Spec.Containers {
		if minor := minorOf(imageTag(c.Image)); minor > 0 {
			return minor
		}
	}
	for _, l := range []map[string]string{labels, t.Labels} {
		for _, name := range []string{labelVersion, labelOperatorVersion} {
			if minor := minorOf(l[name]); minor > 0 {
				return minor
			}
		}
	}
	return 0
}
