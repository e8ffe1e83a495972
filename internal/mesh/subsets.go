package mesh

import (
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

// subsetName is a subset as a route names it: its own name, and the first label of the host. Hosts have
// many spellings; two Services of one name in two namespaces count as one, which errs on the safe side.
type subsetName struct{ host, subset string }

// namesSubset reports whether some route sends calls to a subset of a host. A subset that no route names is
// a cluster that nothing refers to (pilot/pkg/networking/core/cluster_builder.go), whatever its policy says.
func (b *builder) namesSubset(host, subset string) bool {
	if b.subsets == nil {
		b.subsets = map[subsetName]bool{}
		for _, o := range snapshot.All[*networkingv1.VirtualService](b.snap) {
			b.readSubsets(o)
		}
	}
	if strings.HasPrefix(host, "*") {
		for name := range b.subsets {
			if name.subset == subset {
				return true
			}
		}
		return false
	}
	return b.subsets[subsetName{firstLabel(host), subset}]
}

// readSubsets notes every subset that a VirtualService names, whichever gateways it is for.
func (b *builder) readSubsets(o *networkingv1.VirtualService) {
	see := func(d interface {
		GetHost() string
		GetSubset() string
	}) {
		if d.GetSubset() != "" {
			b.subsets[subsetName{firstLabel(d.GetHost()), d.GetSubset()}] = true
		}
	}
	for _, h := range o.Spec.GetHttp() {
		for _, r := range h.GetRoute() {
			see(r.GetDestination())
		}
		see(h.GetMirror())
		for _, m := range h.GetMirrors() {
			see(m.GetDestination())
		}
	}
	for _, t := range o.Spec.GetTcp() {
		for _, r := range t.GetRoute() {
			see(r.GetDestination())
		}
	}
	for _, t := range o.Spec.GetTls() {
		for _, r := range t.GetRoute() {
			see(r.GetDestination())
		}
	}
}

func firstLabel(host string) string {
	name, _, _ := strings.Cut(host, ".")
	return strings.ToLower(name)
}
