package mesh

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// proxySettings is the part of a ProxyConfig that changes what a sidecar captures or how it starts. It stands in annotation
// proxy.istio.io/config for one pod and in meshConfig.defaultConfig for all
// (https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig).
type proxySettings struct {
	InterceptionMode      scalar            `json:"interceptionMode"`
	CustomConfigFile      string            `json:"customConfigFile"`
	BootstrapTemplatePath string            `json:"proxyBootstrapTemplatePath"`
	DiscoveryAddress      string            `json:"discoveryAddress"`
	ProxyMetadata         map[string]scalar `json:"proxyMetadata"`
}

// interceptionNumbers is how the API's enumeration numbers its values, which YAML may hold too.
var interceptionNumbers = map[string]string{"0": "REDIRECT", "1": "TPROXY", "2": "NONE"}

func (p *proxySettings) interception() string {
	text := p.InterceptionMode.text()
	return cmp.Or(interceptionNumbers[text], text)
}

// bootstrap is a file of the owner's that Envoy starts from.
func (p *proxySettings) bootstrap() string {
	return cmp.Or(p.CustomConfigFile, p.BootstrapTemplatePath)
}

// annotatedSettings reads annotation proxy.istio.io/config. What does not parse says nothing; istiod refuses such a pod.
func annotatedSettings(a map[string]string) proxySettings {
	var p proxySettings
	if text, ok := a[AnnotationProxyConfig]; ok && yaml.Unmarshal([]byte(text), &p) != nil {
		return proxySettings{}
	}
	return p
}

// captureValues are the injector's defaults of the traffic annotations, by the annotation that says the same for one pod
// (istio-discovery files/injection-template.yaml).
func (c *injectorConfig) captureValues() []struct{ annotation, field, value string } {
	p := c.values.Global.Proxy
	return []struct{ annotation, field, value string }{
		{trafficIncludeOutboundRanges, "includeIPRanges", p.IncludeIPRanges.text()},
		{trafficExcludeOutboundRanges, "excludeIPRanges", p.ExcludeIPRanges.text()},
		{trafficIncludeInboundPorts, "includeInboundPorts", p.IncludeInboundPorts.text()},
		{trafficExcludeInboundPorts, "excludeInboundPorts", p.ExcludeInboundPorts.text()},
		{trafficIncludeOutboundPorts, "includeOutboundPorts", p.IncludeOutboundPorts.text()},
		{trafficExcludeOutboundPorts, "excludeOutboundPorts", p.ExcludeOutboundPorts.text()},
	}
}

// captureFeatures reads what a sidecar captures and how it starts from wherever that can be said: the pod's own annotation first,
// then proxy.istio.io/config, then the mesh's defaults, as the injection template does.
func (b *builder) captureFeatures(g *gather, w *Workload, get func(string) (string, bool)) {
	at := func(name string) string { return w.templateField(annotationField(name)) }
	own := annotatedSettings(w.Template.Annotations)
	if text, ok := get(AnnotationProxyConfig); ok && len(w.Template.Annotations) == 0 {
		own = annotatedSettings(map[string]string{AnnotationProxyConfig: text})
	}
	if mode := own.interception(); changesCapture(mode) {
		if _, ok := get(AnnotationInterception); !ok {
			g.see(InterceptionMode, Both, at(AnnotationProxyConfig)+": interceptionMode", mode)
		}
	}
	if file := own.bootstrap(); file != "" {
		g.see(BootstrapOverride, Both, at(AnnotationProxyConfig)+": customConfigFile", file)
	}
	if address := own.DiscoveryAddress; address != "" {
		g.see(DiscoveryAddressAnnotation, Both, at(AnnotationProxyConfig)+": discoveryAddress", address)
	}
	if w.Mode != Sidecar && w.AfterRestart != Sidecar {
		return // the defaults of sidecars are no business of a pod that never had one
	}
	cp := b.planeOf(w.Proxy.Revision)
	if cp == nil {
		cp = b.primaryConfig()
	}
	defaults := cp.mesh.DefaultConfig
	if _, annotated := get(AnnotationInterception); !annotated && own.interception() == "" && changesCapture(defaults.interception()) {
		g.seeAt(cp.meshRef, InterceptionMode, "data.mesh: defaultConfig.interceptionMode", defaults.interception())
	}
	if file := defaults.bootstrap(); file != "" && own.bootstrap() == "" {
		g.seeAt(cp.meshRef, BootstrapOverride, "data.mesh: defaultConfig.customConfigFile", file)
	}
	if cp.injector == nil {
		return
	}
	for _, v := range cp.injector.captureValues() {
		if _, annotated := get(v.annotation); !annotated && v.value != "" && !capturesAll(v.annotation, v.value, get) {
			g.seeAt(cp.injector.ref, TrafficExclusion, "data.values: global.proxy."+v.field, v.value)
		}
	}
}

// changesCapture reports whether an interception mode is another than the default.
func changesCapture(mode string) bool { return mode == "TPROXY" || mode == "NONE" }

// operatingSystem labels, the older one too.
var osLabels = []string{corev1.LabelOSStable, "beta.kubernetes.io/os"}

// windowsField returns the field by which a pod asks for Windows nodes, empty where it does not.
func windowsField(spec *corev1.PodSpec) string {
	if spec.OS != nil && spec.OS.Name == corev1.Windows {
		return "os.name"
	}
	for _, l := range append(osLabels, corev1.LabelWindowsBuild) {
		if v, ok := spec.NodeSelector[l]; ok && (v == string(corev1.Windows) || l == corev1.LabelWindowsBuild) {
			return "nodeSelector[" + l + "]"
		}
	}
	if onEveryTerm(spec, func(r corev1.NodeSelectorRequirement) bool {
		switch r.Key {
		case corev1.LabelWindowsBuild:
			return r.Operator != corev1.NodeSelectorOpNotIn && r.Operator != corev1.NodeSelectorOpDoesNotExist
		case osLabels[0], osLabels[1]:
			only := len(r.Values) == 1
			return only && (r.Operator == corev1.NodeSelectorOpIn && r.Values[0] == string(corev1.Windows) ||
				r.Operator == corev1.NodeSelectorOpNotIn && r.Values[0] == string(corev1.Linux))
		}
		return false
	}) {
		return "affinity.nodeAffinity"
	}
	return ""
}

// virtualNodeLabels are on nodes that run no DaemonSet: virtual-kubelet's and Fargate's.
var virtualNodeLabels = map[string]string{"type": "virtual-kubelet", "eks.amazonaws.com/compute-type": "fargate"}

// virtualNodeField returns the field by which a pod asks for a virtual node, empty where it does not.
func virtualNodeField(labels map[string]string, spec *corev1.PodSpec) string {
	if _, ok := labels["eks.amazonaws.com/fargate-profile"]; ok {
		return "metadata.labels[eks.amazonaws.com/fargate-profile]"
	}
	if spec.SchedulerName == "fargate-scheduler" {
		return "spec.schedulerName"
	}
	for l, v := range virtualNodeLabels {
		if spec.NodeSelector[l] == v {
			return "spec.nodeSelector[" + l + "]"
		}
	}
	if onEveryTerm(spec, func(r corev1.NodeSelectorRequirement) bool {
		return r.Operator == corev1.NodeSelectorOpIn && len(r.Values) == 1 && virtualNodeLabels[r.Key] == r.Values[0]
	}) {
		return "spec.affinity.nodeAffinity"
	}
	return ""
}

// onEveryTerm reports whether each alternative of a pod's required node affinity has a requirement that holds.
func onEveryTerm(spec *corev1.PodSpec, holds func(corev1.NodeSelectorRequirement) bool) bool {
	if spec.Affinity == nil || spec.Affinity.NodeAffinity == nil {
		return false
	}
	required := spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil || len(required.NodeSelectorTerms) == 0 {
		return false
	}
	for _, term := range required.NodeSelectorTerms {
		found := false
		for _, r := range term.MatchExpressions {
			found = found || holds(r)
		}
		if !found {
			return false
		}
	}
	return true
}
