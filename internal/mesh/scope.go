package mesh

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

// sidecarResource is a Sidecar object with what it uses.
type sidecarResource struct {
	policy   *Policy
	object   *networkingv1.Sidecar
	features []found
	// decides tells that it sets its own outbound policy.
	decides bool
}

// attachSidecars gives each workload its one Sidecar resource: a selector of its namespace first, then
// its namespace's default, then the root namespace's; of several the oldest
// (pilot/pkg/model/push_context.go initSidecarScopes, doGetSidecarScope). Where none sets an outbound
// policy, mesh configuration does.
func (b *builder) attachSidecars() {
	var root *sidecarResource
	defaults := map[string]*sidecarResource{}
	selected := map[*Workload]*sidecarResource{}
	for _, o := range b.sidecarsByAge() {
		p := b.newPolicy(kindSidecar, o)
		r := &sidecarResource{policy: p, object: o, decides: o.Spec.GetOutboundTrafficPolicy() != nil}
		r.features = append(sidecarFeatures(p, o), b.unknownFields(p)...)
		// An empty selector is a selector here: only an absent one makes a default.
		if o.Spec.GetWorkloadSelector() == nil {
			p.Scope = ByNamespace
			if o.Namespace == b.mesh.Settings.RootNamespace {
				p.Scope = ByRoot
				if root == nil {
					root = r
				}
			}
			if defaults[o.Namespace] == nil {
				defaults[o.Namespace] = r
			}
			continue
		}
		p.Scope = BySelector
		for _, w := range b.index.match(o.Namespace, o.Spec.GetWorkloadSelector().GetLabels()) {
			if selected[w] == nil {
				selected[w] = r
			}
		}
	}
	mesh := b.meshOutboundPolicy()
	for _, w := range b.mesh.Workloads {
		r := selected[w]
		if r == nil {
			r = defaults[w.Namespace]
		}
		if r == nil {
			r = root
		}
		if r == nil || w.Role != Application {
			w.use(mesh)
			continue
		}
		w.Scope = r.policy
		b.touch(r.policy, w, r.features)
		if !r.decides {
			w.use(mesh)
		}
	}
}

// sidecarsByAge lists Sidecar resources oldest first, by name where that is equal or not known.
func (b *builder) sidecarsByAge() []*networkingv1.Sidecar {
	list := slices.Clone(snapshot.All[*networkingv1.Sidecar](b.snap))
	slices.SortStableFunc(list, func(x, y *networkingv1.Sidecar) int {
		return x.CreationTimestamp.Time.Compare(y.CreationTimestamp.Time)
	})
	return list
}

// meshOutboundPolicy is REGISTRY_ONLY of mesh configuration, if set.
func (b *builder) meshOutboundPolicy() []found {
	for _, cp := range b.planes {
		if cp.mesh.OutboundTrafficPolicy.Mode == registryOnly {
			return []found{{RegistryOnly, Outbound, []Evidence{evidence(cp.meshRef, "data.mesh: outboundTrafficPolicy.mode", registryOnly)}}}
		}
	}
	return nil
}

func sidecarFeatures(p *Policy, o *networkingv1.Sidecar) []found {
	g := gather{object: p.Ref}
	for i, e := range o.Spec.GetEgress() {
		path := fmt.Sprintf("spec.egress[%d]", i)
		if !slices.Contains(e.GetHosts(), "*/*") {
			g.see(SidecarEgress, Outbound, path+".hosts", strings.Join(e.GetHosts(), ", "))
		}
		if e.GetPort() != nil || e.GetBind() != "" || e.GetCaptureMode() != apinetworking.CaptureMode_DEFAULT {
			g.see(SidecarListener, Outbound, path+".port", "")
		}
	}
	for i, l := range o.Spec.GetIngress() {
		g.see(SidecarIngress, Inbound, fmt.Sprintf("spec.ingress[%d]", i), l.GetDefaultEndpoint())
	}
	if o.Spec.GetInboundConnectionPool() != nil {
		g.see(SidecarConnectionPool, Inbound, "spec.inboundConnectionPool", "")
	}
	if out := o.Spec.GetOutboundTrafficPolicy(); out != nil && out.GetMode() == apinetworking.OutboundTrafficPolicy_REGISTRY_ONLY {
		g.see(RegistryOnly, Outbound, "spec.outboundTrafficPolicy.mode", registryOnly)
	}
	if p := o.Spec.GetOutboundTrafficPolicy().GetEgressProxy(); p != nil {
		g.see(EgressProxy, Outbound, "spec.outboundTrafficPolicy.egressProxy", p.GetHost())
	}
	return g.list
}
