package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// spireCSIDriver mounts SPIRE's socket into pods (https://istio.io/latest/docs/ops/integrations/spire/).
const spireCSIDriver = "csi.spiffe.io"

// injectedInit are the init containers that injection adds.
var injectedInit = []string{"istio-init", "istio-validation", "istio-proxy", "enable-core-dump"}

// serviceShape reads what a Service's ports and addresses mean for its workloads.
func (b *builder) serviceShape(s *Service) {
	g := gather{object: s.Ref}
	for i, p := range s.Ports {
		field := fmt.Sprintf("spec.ports[%d]", i)
		switch {
		case p.Protocol == "udp":
			g.see(UDPPort, Inbound, field+".protocol", p.Name)
		case p.Protocol == "":
			g.see(UndeclaredProtocol, Inbound, field+".name", p.Name)
		case !p.HTTP():
			g.see(OpaqueTCP, Inbound, field+".name", cmp.Or(p.Name, p.Protocol))
		}
	}
	if s.Headless && !s.External {
		g.see(HeadlessService, Inbound, "spec.clusterIP", "None")
	}
	for _, ip := range s.VIPs {
		if strings.Contains(ip, ":") {
			g.see(IPv6, Inbound, "spec.clusterIPs", ip)
		}
	}
	if o, ok := s.Object.(*corev1.Service); ok {
		if d := o.Spec.TrafficDistribution; d != nil {
			g.see(TrafficDistribution, Inbound, "spec.trafficDistribution", *d)
		}
		for _, family := range o.Spec.IPFamilies {
			if family == corev1.IPv6Protocol && len(s.VIPs) == 0 {
				g.see(IPv6, Inbound, "spec.ipFamilies", string(family))
			}
		}
	}
	if v, ok := s.Object.GetAnnotations()[AnnotationTrafficDistribution]; ok {
		g.see(TrafficDistribution, Inbound, annotationField(AnnotationTrafficDistribution), v)
	}
	if s.ExportTo != nil {
		field := annotationField(AnnotationExportTo)
		if s.Kind == kindServiceEntry.Kind {
			field = "spec.exportTo"
		}
		g.see(ExportTo, Outbound, field, strings.Join(s.ExportTo, ", "))
	}
	if s.Kind == kindServiceEntry.Kind {
		b.entryShape(s, &g)
	}
	s.use(g.list)
	for _, w := range s.Workloads {
		w.useOn(Inbound, g.list)
	}
	b.useInNamespace(s.Namespace, outboundOnly(g.list))
}

func outboundOnly(list []found) []found {
	var out []found
	for _, f := range list {
		if f.side == Outbound {
			out = append(out, f)
		}
	}
	return out
}

// entryShape reads what a ServiceEntry means for clients of its namespace.
func (b *builder) entryShape(s *Service, g *gather) {
	if s.External {
		g.see(EgressServiceEntry, Outbound, "spec.hosts", strings.Join(s.Hosts, ", "))
	}
	for i, h := range s.Hosts {
		if strings.HasPrefix(h, "*") {
			g.see(EgressWildcard, Outbound, fmt.Sprintf("spec.hosts[%d]", i), h)
		}
	}
}

// workloadShape reads what a workload's own object says.
func (b *builder) workloadShape(w *Workload) {
	if w.Role != Application {
		return
	}
	g := gather{object: w.Ref}
	if len(w.Services) == 0 {
		g.see(NoService, Inbound, w.templateField("metadata.labels"), "")
	}
	switch w.Kind {
	case kJob, kCronJob:
		g.see(RunToCompletion, Both, "kind", w.Kind)
	case kDaemonSet:
		g.see(NodeAgent, Both, "kind", w.Kind)
	case kWorkloadEntry, kWorkloadGroup:
		g.see(VirtualMachine, Both, "kind", w.Kind)
	}
	if w.Template != nil {
		podShape(&g, w)
		b.annotationFeatures(&g, w)
	}
	w.use(g.list)
}

func podShape(g *gather, w *Workload) {
	spec := &w.Template.Spec
	at := func(field string) string { return w.templateField("spec." + field) }
	if w.HostNetwork {
		g.see(HostNetworkPod, Both, at("hostNetwork"), "true")
	}
	for i, c := range spec.InitContainers {
		if !slices.Contains(injectedInit, c.Name) {
			g.see(InitContainers, Both, at(fmt.Sprintf("initContainers[%d].name", i)), c.Name)
		}
	}
	if field := windowsField(spec); field != "" {
		g.see(WindowsNode, Both, at(field), string(corev1.Windows))
	} else if field := virtualNodeField(w.Template.Labels, spec); field != "" {
		g.see(VirtualNode, Both, w.templateField(field), "")
	}
	for i, v := range spec.Volumes {
		if v.CSI != nil && v.CSI.Driver == spireCSIDriver {
			g.see(SPIRE, Both, at(fmt.Sprintf("volumes[%d].csi.driver", i)), v.CSI.Driver)
		}
	}
	for _, list := range []struct {
		name       string
		containers []corev1.Container
	}{{"containers", spec.Containers}, {"initContainers", spec.InitContainers}} {
		for i := range list.containers {
			containerShape(g, at(fmt.Sprintf("%s[%d]", list.name, i)), &list.containers[i])
		}
	}
	for i := range spec.EphemeralContainers {
		c := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		containerShape(g, at(fmt.Sprintf("ephemeralContainers[%d]", i)), &c)
	}
}

// containerShape looks for what ties a container to a sidecar.
func containerShape(g *gather, path string, c *corev1.Container) {
	if c.Name == ProxyContainer || slices.Contains(injectedInit, c.Name) {
		if c.Name == ProxyContainer && len(c.Args) == 0 && c.Image != "" {
			g.see(ProxyOverridesAnnotation, Both, path, c.Image)
		}
		return
	}
	if s := c.SecurityContext; s != nil && s.Privileged != nil && *s.Privileged {
		g.see(NodeAgent, Both, path+".securityContext.privileged", "true")
	}
	g.mentions(path+".command", snapshot.Mentions("", strings.Join(c.Command, " ")))
	g.mentions(path+".args", snapshot.Mentions("", strings.Join(c.Args, " ")))
	for i, e := range c.Env {
		g.mentions(fmt.Sprintf("%s.env[%d]", path, i), snapshot.Mentions(e.Name, e.Value))
	}
	for i, m := range c.VolumeMounts {
		g.mentions(fmt.Sprintf("%s.volumeMounts[%d].mountPath", path, i), snapshot.Mentions("", m.MountPath+"/"))
	}
	for _, probe := range []struct {
		field string
		probe *corev1.Probe
	}{{".livenessProbe", c.LivenessProbe}, {".readinessProbe", c.ReadinessProbe}, {".startupProbe", c.StartupProbe}} {
		if p := probe.probe; p != nil {
			g.mentions(path+probe.field, snapshot.HandlerMentions(p.Exec, p.HTTPGet, p.TCPSocket, p.GRPC, c.Ports))
		}
	}
	if l := c.Lifecycle; l != nil {
		for _, hook := range []struct {
			field   string
			handler *corev1.LifecycleHandler
		}{{".lifecycle.postStart", l.PostStart}, {".lifecycle.preStop", l.PreStop}} {
			if h := hook.handler; h != nil {
				g.mentions(path+hook.field, snapshot.HandlerMentions(h.Exec, h.HTTPGet, h.TCPSocket, nil, c.Ports))
			}
		}
	}
}

// mentions records what a text of a container says about its sidecar.
func (g *gather) mentions(field string, found []snapshot.Mention) {
	for _, m := range found {
		if m == snapshot.ClientCertHeader {
			g.see(ForwardedClientCert, Inbound, field, string(m))
		} else {
			g.see(ProxyEndpoint, Both, field, string(m))
		}
	}
}

// annotationFeatures reads pod annotations: the template's, and those that live pods have besides.
func (b *builder) annotationFeatures(g *gather, w *Workload) {
	at := func(name string) string { return w.templateField(annotationField(name)) }
	get := func(name string) (string, bool) {
		if v, ok := w.Template.Annotations[name]; ok {
			return v, true
		}
		v, ok := w.Annotations[name]
		return v, ok
	}
	for _, name := range tuningAnnotations {
		if v, ok := get(name); ok {
			g.see(TuningAnnotations, Both, at(name), v)
		}
	}
	for _, name := range trafficAnnotations {
		if v, ok := get(name); ok && !capturesAll(name, v, get) {
			g.see(TrafficExclusion, Both, at(name), v)
		}
	}
	for _, a := range annotationFeatures {
		if v, ok := get(a.name); ok {
			g.see(a.feature, Both, at(a.name), v)
		}
	}
	if v, _ := get(AnnotationInterception); changesCapture(v) {
		g.see(InterceptionMode, Both, at(AnnotationInterception), v)
	}
	b.captureFeatures(g, w, get)
	if v, ok := get(AnnotationTemplates); ok {
		b.templateFeatures(g, at(AnnotationTemplates), v)
	}
	metadata := proxyMetadataAnnotation(w.Template.Annotations)
	if v := metadata[envDNSCapture].text(); v == "true" || v == "" && b.mesh.Settings.DNSCapture {
		g.see(DNSProxy, Outbound, at(AnnotationProxyConfig), envDNSCapture)
	}
	b.mergedMetrics(g, w, at)
}

// capturesAll tells a traffic annotation that repeats the default. The injector writes three of them on
// every pod (files/injection-template.yaml), and its exclusion of the sidecar's own status port is no wish of anybody.
func capturesAll(name, value string, get func(string) (string, bool)) bool {
	switch name {
	case trafficIncludeInboundPorts, trafficIncludeOutboundRanges:
		return value == "*"
	case trafficExcludeInboundPorts:
		own, ok := get(trafficStatusPort)
		if !ok {
			own = defaultStatusPort
		}
		return !slices.ContainsFunc(splitList(value), func(port string) bool { return port != own })
	}
	return strings.TrimSpace(value) == ""
}

// defaultStatusPort is where a sidecar answers probes and serves metrics (global.proxy.statusPort).
const defaultStatusPort = "15020"

// templateFeatures reads inject.istio.io/templates.
func (b *builder) templateFeatures(g *gather, field, value string) {
	for _, t := range splitList(value) {
		switch {
		case strings.HasPrefix(t, "grpc-"):
			g.see(ProxylessGRPC, Both, field, value)
		case strings.Contains(t, "spire"):
			g.see(SPIRE, Both, field, value)
		case t != "sidecar" && t != "gateway":
			g.see(InjectTemplatesAnnotation, Both, field, value)
		}
	}
}

// mergedMetrics sees pods whose metrics Prometheus scrapes through the sidecar.
func (b *builder) mergedMetrics(g *gather, w *Workload, at func(string) string) {
	merge := b.mesh.Settings.PrometheusMerge
	if v, ok := w.Template.Annotations[AnnotationMergeMetrics]; ok {
		merge = v == "true"
	}
	if v := w.Template.Annotations[AnnotationScrape]; merge && v == "true" && w.Mode == Sidecar {
		g.see(MergedMetrics, Inbound, at(AnnotationScrape), v)
	}
}

// readMeshUses records features of the whole mesh.
func (b *builder) readMeshUses() {
	for _, ns := range snapshot.All[*corev1.Namespace](b.snap) {
		// The namespace of a remote cluster names the clusters whose control plane serves it.
		if v := ns.Annotations[AnnotationControlPlaneClusters]; v != "" {
			b.meshUse(PrimaryRemote, evidence(refOf(kindNamespace, ns), annotationField(AnnotationControlPlaneClusters), v))
		}
	}
	for _, cp := range b.planes {
		if cp.injector != nil && cp.injector.spire {
			b.meshUse(SPIRE, evidence(cp.injector.ref, "data.config: templates", spireCSIDriver))
		}
		if cp.injector != nil && cp.injector.values.Global.RemotePilotAddress != "" {
			b.meshUse(PrimaryRemote, evidence(cp.injector.ref, "data.values: global.remotePilotAddress", cp.injector.values.Global.RemotePilotAddress))
		}
		if cp.env("EXTERNAL_ISTIOD") == "true" && cp.istiod.Name != "" {
			b.meshUse(PrimaryRemote, evidence(cp.istiod, "spec.template.spec.containers[discovery].env[EXTERNAL_ISTIOD]", "true"))
		}
	}
}
