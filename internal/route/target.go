package route

import (
	"fmt"
	"slices"
	"strings"
)

// target resolves a destination as one client reaches it. A Service that the client does not see, a port that it
// does not have, or a subset that no rule defines has no cluster: such calls fail.
func (w *World) target(host string, port uint32, name string, who client) (Target, Policy) {
	t := Target{Host: host, Port: port, Subset: name}
	s := w.service(host, who.namespace)
	if s == nil {
		t.Missing, t.Key = true, "missing|"+t.Name()
		return t, Policy{}
	}
	if s.ExternalName != "" {
		if real := w.service(s.ExternalName, who.namespace); real != nil && real != s {
			s, host = real, s.ExternalName
		}
	}
	p, ok := s.port(port)
	if !ok {
		t.Missing, t.Key = true, "missing|"+t.Name()
		return t, Policy{}
	}
	policy, chosen, ok := w.policy(s, host, p, name, who)
	if !ok {
		t.Missing, t.Key = true, "missing|"+t.Name()
		return t, Policy{}
	}
	var labels map[string]string
	if chosen != nil {
		labels = chosen.GetLabels()
	}
	w.endpoints(&t, s, p, labels)
	return t, policy
}

// plain is the target of a host without any routing.
func (w *World) plain(s *Service, host string, p Port) Target {
	t := Target{Host: host, Port: p.Number}
	w.endpoints(&t, s, p, nil)
	return t
}

// endpoints fills what stands behind a port, for the pods that have these labels.
func (w *World) endpoints(t *Target, s *Service, p Port, labels map[string]string) {
	for _, i := range s.Workloads {
		x := &w.Workloads[i]
		name := x.Ref.Kind + "/" + x.Ref.Namespace + "/" + x.Ref.Name
		switch all, some := x.selected(labels); {
		case all:
			t.Pods = append(t.Pods, name)
		case some:
			t.Pods = append(t.Pods, name+" with "+labelText(labels))
		}
	}
	slices.Sort(t.Pods)
	var outside []string
	for _, o := range s.Outside {
		outside = append(outside, strings.ReplaceAll(o, OwnName, t.Host))
	}
	slices.Sort(outside)
	switch {
	case len(t.Pods) == 0 && len(outside) == 0:
		t.Key = "nobody|" + t.Host
	default:
		t.Key = strings.Join(append(slices.Clone(t.Pods), outside...), ",") + "|" + p.Target
	}
}

// selected reports whether labels select all pods of a workload, and whether they select some.
func (x *Workload) selected(labels map[string]string) (all, some bool) {
	if len(labels) == 0 {
		return true, true
	}
	sets := x.PodLabels
	if len(sets) == 0 {
		sets = []map[string]string{x.Labels}
	}
	all = true
	for _, set := range sets {
		if hasAll(set, labels) {
			some = true
		} else {
			all = false
		}
	}
	return all && some, some
}

func labelText(labels map[string]string) string {
	var parts []string
	for k, v := range labels {
		parts = append(parts, fmt.Sprintf("%s=%s", k, v))
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}
