package policytest

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

const workloadKind = "Deployment"

func (s *story) config(words []string) error {
	o, err := options(words, "root", "trust-domain", "aliases", "minor", "auto-allow-waypoint", "layered", "ambient-dry-run", "providers", "multiple-providers", "prefer-hbone", "no-hbone-send", "no-auto-mtls")
	if err != nil {
		return err
	}
	c := &s.world.Config
	for k, v := range o {
		switch k {
		case "root":
			c.RootNamespace = v
		case "trust-domain":
			c.TrustDomain = v
		case "aliases":
			c.TrustDomainAliases = strings.Split(v, ",")
		case "minor":
			if c.IstioMinor, err = strconv.Atoi(v); err != nil {
				return err
			}
		case "auto-allow-waypoint":
			c.AutoAllowWaypoint = true
		case "layered":
			c.LayeredWaypointPolicies = true
		case "ambient-dry-run":
			c.AmbientDryRun = true
		case "prefer-hbone":
			c.PreferHBONE = true
		case "no-hbone-send":
			c.NoHBONESend = true
		case "no-auto-mtls":
			c.NoAutoMTLS = true
		case "multiple-providers":
			c.MultipleCustomProviders = true
		case "providers":
			c.ExtensionProviders = []authz.ExtensionProvider{}
			for _, p := range strings.Split(v, ",") {
				name, how, _ := strings.Cut(p, "/")
				c.ExtensionProviders = append(c.ExtensionProviders, authz.ExtensionProvider{Name: name, TCP: how != "http"})
			}
		}
	}
	return nil
}

func (s *story) workload(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("name a workload")
	}
	ns, name, err := ref(words[0])
	if err != nil {
		return err
	}
	o, err := options(words[1:], "mode", "sa", "labels", "hbone", "no-hbone-send", "ports", "ip", "role", "gateway", "waypoint", "host-network", "exclude", "unknown", "tls-scope", "bypass-inbound", "narrow")
	if err != nil {
		return err
	}
	p := pods(ns, name)
	name = p.Name
	w := authz.Workload{Ref: p.Ref, Set: p.Set, ServiceAccount: name,
		Labels: map[string]string{"app": name}, Mode: authz.ModeSidecar, Role: authz.RoleApplication}
	for k, v := range o {
		switch k {
		case "mode":
			w.Mode = authz.Mode(v)
		case "sa":
			w.ServiceAccount = v
		case "labels":
			for _, l := range strings.Split(v, ",") {
				k, v, _ := strings.Cut(l, ":")
				w.Labels[k] = v
			}
		case "hbone":
			w.HBONE = true
		case "no-hbone-send":
			w.NoHBONESend = true
		case "host-network":
			w.HostNetwork = true
		case "ip":
			a, err := netip.ParseAddr(v)
			if err != nil {
				return err
			}
			w.IPs = []netip.Addr{a}
		case "role":
			w.Role = authz.Role(v)
		case "gateway":
			w.Gateway, w.Role = v, authz.RoleGateway
		case "waypoint":
			wns, wname, err := ref(v)
			if err != nil {
				return err
			}
			w.Waypoint = authz.Binding{Namespace: wns, Name: wname}
		case "unknown":
			w.Unknown = v
		case "narrow":
			w.Narrow = true
		case "bypass-inbound":
			w.BypassInbound = true
		case "tls-scope":
			w.TLSScope = v
		case "ports", "exclude":
			for _, p := range strings.Split(v, ",") {
				n, how, _ := strings.Cut(p, "/")
				port, err := strconv.ParseUint(n, 10, 16)
				if err != nil {
					return err
				}
				if k == "exclude" {
					w.ExcludedInboundPorts = append(w.ExcludedInboundPorts, uint16(port))
				} else {
					w.Ports = append(w.Ports, authz.Port{Number: uint16(port), Protocol: protocol(how)})
				}
			}
		}
	}
	if w.Role == authz.RoleExternal {
		w.Ref.Kind, w.Mode = "ServiceEntry", authz.ModeNone
	}
	s.world.Workloads = append(slices.Clone(s.world.Workloads), w)
	return nil
}

func protocol(s string) authz.Protocol {
	if s == "" {
		return authz.ProtocolAuto
	}
	return authz.Protocol(s)
}

// service NS/NAME 80:8080/http workloads=a,b ...
func (s *story) service(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("name a service")
	}
	ns, name, err := ref(words[0])
	if err != nil {
		return err
	}
	svc := authz.Service{Namespace: ns, Name: name}
	rest := words[1:]
	for len(rest) > 0 && rest[0][0] >= '0' && rest[0][0] <= '9' {
		p, how, _ := strings.Cut(rest[0], "/")
		port, target, _ := strings.Cut(p, ":")
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return err
		}
		sp := authz.ServicePort{Port: uint16(n), Protocol: protocol(how)}
		if target != "" {
			if n, err = strconv.ParseUint(target, 10, 16); err != nil {
				return err
			}
			sp.TargetPort = uint16(n)
		}
		svc.Ports = append(svc.Ports, sp)
		rest = rest[1:]
	}
	o, err := options(rest, "workloads", "headless", "waypoint", "ingress-use-waypoint", "vip", "entry", "external", "canary")
	if err != nil {
		return err
	}
	_, listed := o["workloads"]
	if _, external := o["external"]; !listed && !external {
		o["workloads"] = name
	}
	for k, v := range o {
		switch k {
		case "workloads":
			for _, w := range strings.Split(v, ",") {
				svc.Workloads = append(svc.Workloads, *pods(ns, w))
			}
		case "headless":
			svc.Headless = true
		case "canary":
			svc.Canary = v
		case "entry":
			svc.Entry = true
		case "external":
			svc.Entry = true
			svc.Workloads = []authz.Pods{{Ref: authz.Ref{Kind: "ServiceEntry", Namespace: ns, Name: name}}}
		case "ingress-use-waypoint":
			svc.IngressUseWaypoint = true
		case "waypoint":
			wns, wname, err := ref(v)
			if err != nil {
				return err
			}
			svc.Waypoint = authz.Binding{Namespace: wns, Name: wname}
		case "vip":
			a, err := netip.ParseAddr(v)
			if err != nil {
				return err
			}
			svc.VIPs = []netip.Addr{a}
		}
	}
	services := slices.DeleteFunc(slices.Clone(s.world.Services), func(x authz.Service) bool { return x.Namespace == ns && x.Name == name })
	s.world.Services = append(services, svc)
	return nil
}

// tls NS/SERVICE MODE [port=80:MODE] [scope=NAME] [passthrough] [by=NS/RULE]
func (s *story) tls(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("want: tls NS/SERVICE MODE")
	}
	o, err := options(words[2:], "port", "scope", "passthrough", "by")
	if err != nil {
		return err
	}
	c := authz.ClientTLS{Mode: authz.TLSMode(words[1]), By: o["by"]}
	if words[1] == "auto" {
		c.Mode = authz.TLSAuto
	}
	_, c.Passthrough = o["passthrough"]
	if port, mode, ok := strings.Cut(o["port"], ":"); ok {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return err
		}
		c.Ports = map[uint16]authz.TLSMode{uint16(n): authz.TLSMode(mode)}
	}
	services := slices.Clone(s.world.Services)
	i := slices.IndexFunc(services, func(x authz.Service) bool { return x.Namespace+"/"+x.Name == words[0] })
	if i < 0 {
		return fmt.Errorf("no such service")
	}
	set := maps.Clone(services[i].ClientTLS)
	if set == nil {
		set = map[string]authz.ClientTLS{}
	}
	set[o["scope"]] = c
	services[i].ClientTLS = set
	s.world.Services = services
	return nil
}

func (s *story) waypoint(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("name a waypoint")
	}
	ns, name, err := ref(words[0])
	if err != nil {
		return err
	}
	o, err := options(words[1:], "for", "not-programmed", "no-pods", "admits", "class", "sa", "unknown")
	if err != nil {
		return err
	}
	w := authz.Waypoint{Namespace: ns, Name: name, Programmed: true, Ready: true, For: authz.WaypointFor(o["for"]),
		Class: o["class"], ServiceAccount: o["sa"], Unknown: o["unknown"]}
	if _, ok := o["not-programmed"]; ok {
		w.Programmed, w.Ready = false, false
	}
	if _, ok := o["no-pods"]; ok {
		w.Ready = false
	}
	if v, ok := o["admits"]; ok {
		w.Admits = strings.Split(v, ",")
	}
	wps := slices.DeleteFunc(slices.Clone(s.world.Waypoints), func(x authz.Waypoint) bool { return x.Namespace == ns && x.Name == name })
	s.world.Waypoints = append(wps, w)
	return nil
}

// unknown WHAT [namespace=NS] [workload=NAME] [why=WORDS]
func (s *story) unknown(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("say what is unknown")
	}
	o, err := options(words[1:], "namespace", "workload", "why")
	if err != nil {
		return err
	}
	s.world.Unknown = append(slices.Clone(s.world.Unknown), authz.Unknown{What: words[0], Namespace: o["namespace"], Workload: o["workload"], Why: o["why"]})
	return nil
}

// mode NS/NAME|NS/* MODE [hbone|no-hbone-send]
func (s *story) mode(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("want: mode NS/NAME sidecar|ambient|none [hbone|no-hbone-send]")
	}
	ns, name, err := ref(words[0])
	if err != nil {
		return err
	}
	switch authz.Mode(words[1]) {
	case authz.ModeSidecar, authz.ModeAmbient, authz.ModeNone:
	default:
		return fmt.Errorf("%q is no mode", words[1])
	}
	list := slices.Clone(s.world.Workloads)
	n := 0
	for i := range list {
		if list[i].Ref.Namespace == ns && (name == "*" || list[i].Ref.Name == name) {
			list[i].Mode = authz.Mode(words[1])
			list[i].HBONE = len(words) > 2 && words[2] == "hbone"
			list[i].NoHBONESend = len(words) > 2 && words[2] == "no-hbone-send"
			n++
		}
	}
	if n == 0 {
		return fmt.Errorf("no such workload")
	}
	s.world.Workloads = list
	return nil
}

// bind service|workload NS/NAME WP-NS/WP-NAME, or "bind ingress NS/NAME"
func (s *story) bind(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("want: bind service|workload NS/NAME NS/WAYPOINT, or bind ingress NS/SERVICE")
	}
	ns, name, err := ref(words[1])
	if err != nil {
		return err
	}
	var b authz.Binding
	if words[0] != "ingress" {
		if len(words) != 3 {
			return fmt.Errorf("name the waypoint")
		}
		if b.Namespace, b.Name, err = ref(words[2]); err != nil {
			return err
		}
	}
	return s.setBinding(words[0], ns, name, b)
}

func (s *story) unbind(words []string) error {
	if len(words) != 2 {
		return fmt.Errorf("want: unbind service|workload NS/NAME")
	}
	ns, name, err := ref(words[1])
	if err != nil {
		return err
	}
	return s.setBinding(words[0], ns, name, authz.Binding{})
}

func (s *story) setBinding(what, ns, name string, b authz.Binding) error {
	services, workloads := slices.Clone(s.world.Services), slices.Clone(s.world.Workloads)
	n := 0
	for i := range services {
		if sv := &services[i]; what != "workload" && sv.Namespace == ns && (name == "*" || sv.Name == name) {
			n++
			if what == "ingress" {
				sv.IngressUseWaypoint = true
			} else {
				sv.Waypoint = b
			}
		}
	}
	for i := range workloads {
		if w := &workloads[i]; what == "workload" && w.Ref.Namespace == ns && (name == "*" || w.Ref.Name == name) {
			n++
			w.Waypoint = b
		}
	}
	if n == 0 {
		return fmt.Errorf("no such %s", what)
	}
	s.world.Services, s.world.Workloads = services, workloads
	return nil
}

func (s *story) save(words []string) error {
	if len(words) != 1 {
		return fmt.Errorf("want: world NAME")
	}
	w := s.world
	w.Policies.Authorization = slices.Clone(w.Policies.Authorization)
	w.Policies.Authentication = slices.Clone(w.Policies.Authentication)
	w.Policies.Peer = slices.Clone(w.Policies.Peer)
	s.worlds[words[0]] = w
	return nil
}
