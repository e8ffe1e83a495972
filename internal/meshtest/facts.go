// Package meshtest builds meshes for tests and prints what is derived from them.
package meshtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
)

// Load reads manifests and fails the test on anything that cannot be read or would be ignored: a
// fixture with a typing error must not look like a mesh without the object.
func Load(t testing.TB, yaml string) *snapshot.Snapshot {
	t.Helper()
	s := manifest.Load(manifest.Stream("fixture.yaml", strings.NewReader(yaml)))
	for _, p := range s.Problems() {
		t.Errorf("fixture: %s", p)
	}
	for _, i := range s.Ignored() {
		t.Errorf("fixture: %v: %s %s/%s is ignored: %s", i.Source, i.Kind, i.Namespace, i.Name, i.Reason)
	}
	return s
}

// Facts prints a mesh as one line per fact, in a fixed order. Tests compare lines, so each says what it
// is about:
//
//	Deployment shop/cart mode sidecar
//	Deployment shop/cart uses l7-authz inbound: AuthorizationPolicy shop/get spec.rules[0].to[0].operation.methods
//	Service shop/cart waypoint shop/waypoint refused WaypointIsNotReady
func Facts(m *mesh.Mesh) []string {
	var p printer
	p.settings(&m.Settings)
	for _, w := range m.Workloads {
		p.workload(w)
	}
	for _, s := range m.Services {
		p.service(s)
	}
	for _, g := range m.Waypoints {
		p.waypoint(g)
	}
	for _, o := range m.Policies {
		p.policy(o)
	}
	p.uses("mesh", m.Uses)
	return p.lines
}

type printer struct{ lines []string }

func (p *printer) add(format string, args ...any) {
	p.lines = append(p.lines, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (p *printer) settings(s *mesh.Settings) {
	p.add("settings known %v root %s system %s trust %s", s.Known, s.RootNamespace, s.SystemNamespace, s.TrustDomain)
	p.add("settings minor %d minors %v ztunnel %d", s.Minor, s.Minors, s.ZtunnelMinor)
	p.add("settings ambient %v registry-only %v native %v hbone %v", s.AmbientEnabled, s.OutboundRegistryOnly, s.NativeSidecars, s.HBONESidecars)
	p.add("settings proxy cpu %d memory %d known %v", s.ProxyCPUMilli, s.ProxyMemoryBytes, s.ProxyRequestsKnown)
	for _, r := range s.Revisions {
		p.add("revision %s tags %v default %v", r.Name, r.Tags, r.Default)
	}
	for _, e := range s.ExtensionProviders {
		p.add("provider %s %s", e.Name, e.Type)
	}
	for _, b := range s.Problems {
		p.add("problem %s %s: %s", b.Evidence.Object, b.Evidence.Field, b.Text)
	}
}

func (p *printer) workload(w *mesh.Workload) {
	name := w.Ref.String()
	p.add("%s role %s", name, w.Role)
	p.add("%s mode %s", name, w.Mode)
	p.add("%s after-restart %s", name, w.AfterRestart)
	p.add("%s replicas %d pods %d derived %v", name, w.Replicas, len(w.Pods), w.Derived)
	if w.PodModes != (mesh.PodModes{}) {
		p.add("%s pod-modes sidecar %d ambient %d none %d pending %d", name, w.PodModes.Sidecar, w.PodModes.Ambient, w.PodModes.None, w.PodModes.Pending)
	}
	if x := w.Proxy; x.Kind != mesh.NoSidecar {
		p.add("%s proxy %s revision %s version %s", name, x.Kind, x.Revision, x.Version)
		p.add("%s proxy hbone %v", name, x.HBONE)
		p.add("%s proxy cpu %d memory %d known %v", name, x.CPUMilli, x.MemoryBytes, x.RequestsKnown)
		p.add("%s proxy mixed %v", name, x.Mixed)
	}
	p.add("%s principal %s", name, w.Principal)
	for _, s := range w.Services {
		p.add("%s service %s", name, s.Ref)
	}
	for _, o := range w.Policies {
		p.add("%s policy %s %s", name, o.Ref, o.Scope)
	}
	for _, o := range w.Routes {
		p.add("%s route %s", name, o.Ref)
	}
	p.add("%s mtls %s %v", name, w.MTLS.Mode, w.MTLS.Ports)
	if w.Scope != nil {
		p.add("%s scope %s", name, w.Scope.Ref)
	}
	p.binding(name, *w.Waypoint)
	p.uses(name, w.Uses)
	for _, k := range w.Unknown {
		p.add("%s unknown %s", name, k.Kind)
	}
	for _, b := range w.Why {
		p.add("%s why %s", name, b.Text)
	}
}

func (p *printer) uses(name string, uses []mesh.Use) {
	for _, u := range uses {
		for _, e := range u.Evidence {
			p.add("%s uses %s %s: %s %s", name, u.Feature, u.Side, e.Object, e.Field)
		}
	}
}

func (p *printer) binding(name string, b mesh.Binding) {
	switch {
	case b.OptOut:
		p.add("%s waypoint opts out", name)
	case b.Bound:
		p.add("%s waypoint %s/%s bound", name, b.Gateway.Namespace, b.Gateway.Name)
	case b.Asked:
		p.add("%s waypoint %s/%s refused %s", name, b.Gateway.Namespace, b.Gateway.Name, b.Refused)
	default:
		p.add("%s waypoint none", name)
	}
	if b.Assumed {
		p.add("%s waypoint assumed", name)
	}
	if b.Inherited {
		p.add("%s waypoint inherited", name)
	}
	if b.Shadows.Name != "" {
		p.add("%s waypoint shadows %s/%s bound %v", name, b.Shadows.Namespace, b.Shadows.Name, b.ShadowsBound)
	}
	if b.Canary.Name != "" {
		p.add("%s waypoint canary %s/%s weight %d %s", name, b.Canary.Namespace, b.Canary.Name, b.CanaryWeight, b.CanaryRefused)
	}
}

func (p *printer) service(s *mesh.Service) {
	name := s.Ref.String()
	p.add("%s hosts %s", name, strings.Join(s.Hosts, ","))
	p.add("%s headless %v external %v", name, s.Headless, s.External)
	for _, port := range s.Ports {
		p.add("%s port %s %d to %d %s", name, port.Name, port.Port, port.Target, port.Protocol)
	}
	for _, w := range s.Workloads {
		p.add("%s selects %s", name, w.Ref)
	}
	p.binding(name, *s.Waypoint)
	if s.IngressUseWaypoint {
		p.add("%s ingress uses waypoint", name)
	}
	for _, o := range s.Policies {
		p.add("%s policy %s", name, o.Ref)
	}
	for _, o := range s.Routes {
		p.add("%s route %s", name, o.Ref)
	}
	p.uses(name, s.Uses)
}

func (p *printer) waypoint(g *mesh.WaypointGateway) {
	p.add("waypoint %s/%s for %s class %s account %s", g.Namespace, g.Name, g.For, g.Class, g.ServiceAccount)
	p.add("waypoint %s/%s programmed %v known %v ready %d", g.Namespace, g.Name, g.Programmed, g.StatusKnown, g.ReadyPods)
	p.add("waypoint %s/%s admits %v all %v", g.Namespace, g.Name, g.Admits, g.AdmitsAll)
}

func (p *printer) policy(o *mesh.Policy) {
	p.add("policy %s scope %s workloads %d %s", o.Ref, o.Scope, o.Workloads, o.Action)
	for _, t := range o.Targets {
		p.add("policy %s target %s accepted %v %s", o.Ref, t.Ref, t.Accepted, t.Refused)
	}
}

// Expect compares facts with the lines of an expectation: each line must be a fact, or the start of one
// up to a word's end; a line that starts with ! must not. Blank lines and lines that start with # are skipped.
func Expect(t testing.TB, facts []string, want string) {
	t.Helper()
	failed, checked := false, 0
	for line := range strings.Lines(want) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		checked++
		text, absent := strings.CutPrefix(line, "!")
		text = strings.TrimSpace(text)
		has := slices.ContainsFunc(facts, func(f string) bool {
			rest, ok := strings.CutPrefix(f, text)
			return ok && (rest == "" || rest[0] == ' ' || rest[0] == ':')
		})
		if has == absent {
			failed = true
			t.Errorf("not as expected: %s", line)
		}
	}
	if checked == 0 {
		t.Error("the expectation is empty")
	}
	if failed {
		t.Logf("facts:\n%s", strings.Join(facts, "\n"))
	}
}
