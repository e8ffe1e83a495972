package mesh

import (
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	apimesh "istio.io/api/mesh/v1alpha1"
	apinetworking "istio.io/api/networking/v1alpha3"
	"sigs.k8s.io/yaml"

	appsv1 "k8s.io/api/apps/v1"
)

// ClientDefaults are what mesh configuration has every client's proxy do to calls: it ends with the sidecars.
type ClientDefaults struct {
	// Retries is defaultHttpRetryPolicy, nil where Istio's own default holds.
	Retries *apinetworking.HTTPRetry
	// Locality is localityLbSetting where it distributes or fails over, and is not switched off.
	Locality *apinetworking.LocalityLoadBalancerSetting
	// H2Upgrade reports whether h2UpgradePolicy is UPGRADE.
	H2Upgrade bool
	// VirtualServiceExportTo, DestinationRuleExportTo and ServiceExportTo are the defaults of exportTo; nil for "*".
	VirtualServiceExportTo, DestinationRuleExportTo, ServiceExportTo []string
	// Ref is the object they were read from.
	Ref Ref
}

// defaultClusterDomain is istiod's --domain where nothing says otherwise (pilot/cmd/pilot-discovery/app/cmd.go).
const defaultClusterDomain = "cluster.local"

// readClientDefaults reads the fields of a mesh configuration that clients' proxies carry out. Fields are read one
// by one, so that one that this version does not know does not hide the others.
func readClientDefaults(text string) ClientDefaults {
	var raw map[string]json.RawMessage
	if yaml.Unmarshal([]byte(text), &raw) != nil {
		return ClientDefaults{} // readMeshConfig has said so
	}
	wanted := map[string]json.RawMessage{}
	for _, name := range []string{"defaultHttpRetryPolicy", "localityLbSetting", "h2UpgradePolicy",
		"defaultVirtualServiceExportTo", "defaultDestinationRuleExportTo", "defaultServiceExportTo"} {
		if v, ok := raw[name]; ok {
			wanted[name] = v
		}
	}
	part, err := json.Marshal(wanted)
	var mc apimesh.MeshConfig
	if err != nil || (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(part, &mc) != nil {
		return ClientDefaults{}
	}
	out := ClientDefaults{
		Retries: mc.GetDefaultHttpRetryPolicy(), H2Upgrade: mc.GetH2UpgradePolicy() == apimesh.MeshConfig_UPGRADE,
		VirtualServiceExportTo: exportList(mc.GetDefaultVirtualServiceExportTo()), ServiceExportTo: exportList(mc.GetDefaultServiceExportTo()),
		DestinationRuleExportTo: exportList(mc.GetDefaultDestinationRuleExportTo()),
	}
	if l := mc.GetLocalityLbSetting(); l != nil && (l.GetEnabled() == nil || l.GetEnabled().GetValue()) &&
		len(l.GetDistribute())+len(l.GetFailover())+len(l.GetFailoverPriority()) > 0 {
		out.Locality = l
	}
	return out
}

// clusterDomainOf reads the domain that a control plane was told: the argument --domain, else the injector's values.
func clusterDomainOf(d *appsv1.Deployment) string {
	for _, c := range d.Spec.Template.Spec.Containers {
		args := slices.Concat(c.Command, c.Args)
		for i, a := range args {
			if v, ok := strings.CutPrefix(a, "--domain="); ok {
				return v
			}
			if a == "--domain" && i+1 < len(args) {
				return args[i+1]
			}
		}
	}
	return ""
}

// valuesDomain is the domain that the injector's values were made with.
func (c *controlPlane) valuesDomain() string {
	if c.injector == nil {
		return ""
	}
	return c.injector.values.Global.Proxy.ClusterDomain
}

// serviceDomain is what follows a Service's name and namespace in its host.
func (s *Settings) serviceDomain() string { return "svc." + s.ClusterDomain }
