package world

import (
	"fmt"
	"net/netip"
	"slices"

	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	meshconfig "istio.io/api/mesh/v1alpha1"

	"istio.io/api/label"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/spiffe"
	"istio.io/istio/pkg/test"
	"istio.io/istio/pkg/workloadapi/security"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/ztunnel"
)

// istioVersion is what the proxies report; it selects istiod's code paths for the current minor.
const istioVersion = "1.31.0"

// World is what istiod makes of a case.
type World struct {
	// Sidecar and Waypoint are the proxies' listeners, complete as istiod would send them.
	Sidecar, Waypoint []*listener.Listener
	Ztunnel           ztunnel.State
	Invalid           []corpus.Invalid
}

// Build runs istiod on a case. It starts the service registry, the ambient index and the config generator, and stops them again.
func Build(c *corpus.Case) (*World, error) {
	pols, err := decodePolicies(c.Policies)
	if err != nil {
		return nil, fmt.Errorf("case %s: %w", c.ID, err)
	}
	w := &World{Invalid: pols.invalid}
	err = test.Wrap(func(t test.Failer) {
		s := Start(t, meshConfig(c), append(kubeObjects(c), pols.objects...), pols.configs, false)
		w.Sidecar = s.Listeners(s.SetupProxy(sidecarProxy(c)))
		w.Waypoint = s.Listeners(s.SetupProxy(waypointProxy(c)))
		w.Ztunnel = ztunnelState(s.Env(), c)
	})
	if err != nil {
		return nil, fmt.Errorf("case %s: istiod: %w", c.ID, err)
	}
	return w, nil
}

func meshConfig(c *corpus.Case) *meshconfig.MeshConfig {
	mc := mesh.DefaultMeshConfig()
	mc.RootNamespace = c.Mesh.RootNamespace
	mc.TrustDomain = c.Mesh.TrustDomain
	mc.TrustDomainAliases = c.Mesh.TrustDomainAliases
	for _, p := range c.Mesh.ExtensionProviders {
		mc.ExtensionProviders = append(mc.ExtensionProviders, &meshconfig.MeshConfig_ExtensionProvider{
			Name: p,
			Provider: &meshconfig.MeshConfig_ExtensionProvider_EnvoyExtAuthzGrpc{
				EnvoyExtAuthzGrpc: &meshconfig.MeshConfig_ExtensionProvider_EnvoyExternalAuthorizationGrpcProvider{
					Service: p + "." + c.Mesh.RootNamespace + ".svc." + constants.DefaultClusterLocalDomain, Port: AuthzPort,
				},
			},
		})
	}
	return mc
}

// sidecarProxy also accepts HBONE, as every sidecar does that was injected after ambient mode was enabled.
func sidecarProxy(c *corpus.Case) *model.Proxy {
	p := proxy(model.SidecarProxy, "workload", c.Workload.Namespace, c.Workload.ServiceAccount, c.Workload.IP, c.Workload.Labels)
	p.Metadata.EnableHBONE = true
	return p
}

func waypointProxy(c *corpus.Case) *model.Proxy {
	return proxy(model.Waypoint, "waypoint-pod", c.Waypoint.Namespace, c.Waypoint.Name, waypointPodIP, map[string]string{
		label.IoK8sNetworkingGatewayGatewayName.Name: c.Waypoint.Name,
		label.GatewayManaged.Name:                    constants.ManagedGatewayMeshControllerLabel,
	})
}

func proxy(kind model.NodeType, name, ns, sa, ip string, labels map[string]string) *model.Proxy {
	return &model.Proxy{
		Type: kind, ID: name + "." + ns, ConfigNamespace: ns, IPAddresses: []string{ip}, Labels: labels,
		Metadata: &model.NodeMetadata{
			Namespace: ns, ServiceAccount: sa, Labels: labels, IstioVersion: istioVersion, ClusterID: constants.DefaultClusterName,
		},
		VerifiedIdentity: &spiffe.Identity{TrustDomain: constants.DefaultClusterLocalDomain, Namespace: ns, ServiceAccount: sa},
	}
}

// ztunnelState asks the ambient index for what ztunnel would receive: every policy, and the workload's attachments.
func ztunnelState(env *model.Environment, c *corpus.Case) ztunnel.State {
	st := ztunnel.State{Namespace: c.Workload.Namespace}
	for _, p := range env.Policies(nil) {
		st.Policies = append(st.Policies, p.Authorization)
	}
	slices.SortFunc(st.Policies, func(a, b *security.Authorization) int {
		if a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name {
			return -1
		}
		return 1
	})
	want := netip.MustParseAddr(c.Workload.IP)
	addresses, _ := env.AddressInformation(nil)
	for _, a := range addresses {
		wl := a.GetWorkload()
		if wl == nil {
			continue
		}
		for _, raw := range wl.Addresses {
			if ip, ok := netip.AddrFromSlice(raw); ok && ip == want {
				st.Attached = wl.AuthorizationPolicies
			}
		}
	}
	return st
}
