package authz

import (
	"strconv"
	"strings"

	"istio.io/api/annotation"
)

// Manifest writes an AuthorizationPolicy as YAML, one value or list a line, in the order of the API. What it means is what
// was read; comments and the order of keys in the user's own file are not kept.
func (p *AuthorizationPolicy) Manifest() string {
	w := &manifest{}
	w.line(0, "apiVersion: security.istio.io/v1")
	w.line(0, "kind: AuthorizationPolicy")
	w.line(0, "metadata:")
	w.line(1, "name: "+scalar(p.Name))
	w.line(1, "namespace: "+scalar(p.Namespace))
	if p.DryRun {
		w.line(1, "annotations: {"+annotation.IoIstioDryRun.Name+`: "true"}`)
	}
	w.line(0, "spec:")
	if p.Attach.Selected {
		w.line(1, "selector:")
		w.line(2, "matchLabels:")
		for _, k := range sortedKeys(p.Attach.Selector) {
			w.line(3, scalar(k)+": "+scalar(p.Attach.Selector[k]))
		}
	}
	if len(p.Attach.Targets) > 0 {
		w.line(1, "targetRefs:")
		for _, t := range p.Attach.Targets {
			w.line(1, "- kind: "+scalar(t.Kind))
			w.line(2, "name: "+scalar(t.Name))
			if t.Group != "" {
				w.line(2, "group: "+scalar(t.Group))
			}
		}
	}
	w.line(1, "action: "+string(p.Action))
	if p.Provider != "" {
		w.line(1, "provider: {name: "+scalar(p.Provider)+"}")
	}
	if len(p.Rules) > 0 {
		w.line(1, "rules:")
	}
	for i := range p.Rules {
		w.rule(&p.Rules[i])
	}
	return w.String()
}

type manifest struct{ strings.Builder }

func (w *manifest) line(depth int, text string) {
	w.WriteString(strings.Repeat("  ", depth) + text + "\n")
}

func (w *manifest) rule(r *Rule) {
	if r.Nil {
		w.line(1, "- null")
		return
	}
	if len(r.From)+len(r.To)+len(r.When) == 0 {
		w.line(1, "- {}")
		return
	}
	mark := "- "
	head := func(name string) {
		w.line(1, mark+name+":")
		mark = "  "
	}
	if len(r.From) > 0 {
		head("from")
		for i := range r.From {
			s := &r.From[i]
			w.fields("source", []listField{
				{"principals", s.Principals}, {"notPrincipals", s.NotPrincipals}, {"requestPrincipals", s.RequestPrincipals}, {"notRequestPrincipals", s.NotRequestPrincipals},
				{"namespaces", s.Namespaces}, {"notNamespaces", s.NotNamespaces}, {"serviceAccounts", s.ServiceAccounts}, {"notServiceAccounts", s.NotServiceAccounts},
				{"trustDomains", s.TrustDomains}, {"notTrustDomains", s.NotTrustDomains}, {"ipBlocks", s.IPBlocks}, {"notIpBlocks", s.NotIPBlocks},
				{"remoteIpBlocks", s.RemoteIPBlocks}, {"notRemoteIpBlocks", s.NotRemoteIPBlocks},
			})
		}
	}
	if len(r.To) > 0 {
		head("to")
		for i := range r.To {
			o := &r.To[i]
			w.fields("operation", []listField{
				{"hosts", o.Hosts}, {"notHosts", o.NotHosts}, {"ports", o.Ports}, {"notPorts", o.NotPorts},
				{"methods", o.Methods}, {"notMethods", o.NotMethods}, {"paths", o.Paths}, {"notPaths", o.NotPaths},
			})
		}
	}
	if len(r.When) > 0 {
		head("when")
		for _, c := range r.When {
			w.line(2, "- key: "+scalar(c.Key))
			for _, f := range []listField{{"values", c.Values}, {"notValues", c.NotValues}} {
				if len(f.values) > 0 {
					w.line(3, f.name+": "+flow(f.values))
				}
			}
		}
	}
}

type listField struct {
	name   string
	values []string
}

func (w *manifest) fields(name string, list []listField) {
	any := false
	for _, f := range list {
		any = any || len(f.values) > 0
	}
	if !any {
		w.line(2, "- "+name+": {}")
		return
	}
	w.line(2, "- "+name+":")
	for _, f := range list {
		if len(f.values) > 0 {
			w.line(4, f.name+": "+flow(f.values))
		}
	}
}

func flow(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = scalar(v)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// scalar quotes a string where YAML would read it as something else.
func scalar(s string) string {
	plain := s != ""
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '/' && i == 0
		plain = plain && (letter || i > 0 && (r >= '0' && r <= '9' || strings.ContainsRune("-_./", r)))
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		plain = false
	}
	if plain {
		return s
	}
	return strconv.Quote(s) // YAML's double quotes know Go's escapes
}
