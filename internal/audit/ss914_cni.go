package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	corev1 "k8s.io/api/core/v1"
)

// cni: other people's redirection.
var cni = Rule{
	Code:     "SS914",
	Title:    "The cluster's CNI is configured in a way that ambient mode does not work with",
	Severity: Error,
	Requires: VerdictNone,
	Inputs:   Inputs{Kinds: []snapshot.Kind{kindConfigMap, kindFelix, kindInstallation}},
	References: []string{
		"https://istio.io/latest/docs/ambient/install/platform-prerequisites/", "https://github.com/istio/istio/issues/52765", "https://github.com/istio/istio/issues/57911",
		"https://github.com/istio/istio/issues/49277",
	},
	Why: "ztunnel's redirection works inside the pod's network namespace and needs the CNI to leave kubelet probes, socket load balancing and chained plugins alone. Cilium needs " +
		"cni-exclusive false, no bpf masquerading, and bpf-lb-sock-hostns-only true with socket load balancing. Calico in eBPF mode works since 3.29, with connect-time load balancing disabled.",
	Remedy: "Change the setting before the first pod is enrolled.",
	Whole: func(m *MeshView) []Finding {
		return slices.Concat(ciliumFindings(m.Snapshot()), calicoFindings(m.Snapshot()))
	},
}

// ciliumFindings reads ConfigMap cilium-config, which the Cilium chart writes.
func ciliumFindings(s *snapshot.Snapshot) []Finding {
	var out []Finding
	for _, cm := range snapshot.All[*corev1.ConfigMap](s) {
		if cm.Name != "cilium-config" {
			continue
		}
		ref := mesh.Ref{Kind: kindConfigMap.Kind, Namespace: cm.Namespace, Name: cm.Name}
		for _, bad := range []struct{ key, value, text string }{
			{"cni-exclusive", "true", "Cilium removes other CNI plugins (cni-exclusive: true), istio-cni among them."},
			{"enable-bpf-masquerade", "true", "Cilium's eBPF masquerading rewrites the probes' source address (enable-bpf-masquerade: true): kubelet probes fail."},
		} {
			if cm.Data[bad.key] == bad.value {
				out = append(out, one(bad.text, at(ref, "data["+bad.key+"]", bad.value))...)
			}
		}
		replaces := cm.Data["kube-proxy-replacement"]
		if (replaces == "true" || replaces == "strict") && cm.Data["bpf-lb-sock-hostns-only"] != "true" {
			out = append(out, one("Cilium balances at the socket inside pods (kube-proxy-replacement without bpf-lb-sock-hostns-only): ztunnel never sees Service addresses, so waypoints are missed.",
				at(ref, "data[bpf-lb-sock-hostns-only]", cm.Data["bpf-lb-sock-hostns-only"]))...)
		}
	}
	return out
}

// calicoFindings reads Calico's own objects.
func calicoFindings(s *snapshot.Snapshot) []Finding {
	var out []Finding
	minor := 0
	for _, i := range snapshot.All[*partial.Installation](s) {
		_, _ = fmt.Sscanf(i.Status.CalicoVersion, "v3.%d", &minor) // unreadable counts as unknown: no finding
	}
	for _, f := range snapshot.All[*partial.FelixConfiguration](s) {
		if f.Spec.BPFEnabled == nil || !*f.Spec.BPFEnabled {
			continue
		}
		ref := mesh.Ref{Group: kindFelix.Group, Kind: kindFelix.Kind, Name: f.Name}
		if minor > 0 && minor < 29 {
			out = append(out, one(fmt.Sprintf("Calico 3.%d in eBPF mode breaks kubelet probes of ambient pods; 3.29 is the first that works.", minor), at(ref, "spec.bpfEnabled", "true"))...)
		}
		disabled := f.Spec.BPFConnectTimeLoadBalancing != nil && *f.Spec.BPFConnectTimeLoadBalancing == "Disabled" ||
			f.Spec.BPFConnectTimeLoadBalancingOn != nil && !*f.Spec.BPFConnectTimeLoadBalancingOn
		if !disabled {
			out = append(out, one("Calico's connect-time load balancing hides Service addresses from ztunnel, so waypoints are missed: set bpfConnectTimeLoadBalancing: Disabled.", at(ref, "spec.bpfConnectTimeLoadBalancing", ""))...)
		}
	}
	return out
}
