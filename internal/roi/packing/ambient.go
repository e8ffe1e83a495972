package packing

import (
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
)

// ambient says what ambient's two DaemonSets add to each node.
type ambient struct {
	change       terms.Change
	ztunnel, cni map[string]bool // nodes that have it; the empty name means all
}

func newAmbient(c terms.Cluster, change terms.Change) ambient {
	a := ambient{change, map[string]bool{}, map[string]bool{}}
	for _, p := range c.Pods {
		if p.Finished() {
			continue
		}
		switch p.Role {
		case terms.Ztunnel:
			a.ztunnel[p.Object.Spec.NodeName] = true
		case terms.CNI:
			a.cni[p.Object.Spec.NodeName] = true
		}
	}
	return a
}

// on is what the node gets once anything leaves its sidecar; nothing where no DaemonSet of ambient's runs.
func (a ambient) on(n *corev1.Node) (r terms.Resources, pods int) {
	z, cni := a.missing(n)
	if z {
		r, pods = r.Plus(a.change.Ztunnel), pods+1
	}
	if cni {
		r, pods = r.Plus(a.change.CNI), pods+1
	}
	return r, pods
}

func (a ambient) missing(n *corev1.Node) (ztunnel, cni bool) {
	if len(a.change.Leaves) == 0 || terms.Uncaptured(n) != "" {
		return false, false
	}
	return !a.ztunnel[n.Name] && !a.ztunnel[""], !a.cni[n.Name] && !a.cni[""]
}

// Daemons is what ambient's DaemonSets request on the nodes that lack them, and how many nodes lack each.
func Daemons(c terms.Cluster, change terms.Change) (sum terms.Resources, ztunnels, cnis int) {
	a := newAmbient(c, change)
	for _, n := range c.Nodes {
		r, _ := a.on(n)
		sum = sum.Plus(r)
		z, cni := a.missing(n)
		if z {
			ztunnels++
		}
		if cni {
			cnis++
		}
	}
	return sum, ztunnels, cnis
}
