// Package assertion is sentences about who must and who must never be able to call whom, and whether they hold of a
// state of the mesh. Every sentence is examined over all requests that any policy can tell apart; a sentence that is
// about nobody or nothing does not hold.
package assertion

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v2"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// APIVersion and Kind are what a document of assertions says of itself.
const (
	APIVersion = "sidestep.dev/v1alpha1"
	Kind       = "AuthzAssertions"
)

// Document is a file of assertions.
type Document struct {
	APIVersion string      `yaml:"apiVersion"`
	Kind       string      `yaml:"kind"`
	Assertions []Assertion `yaml:"assertions"`
}

// Assertion is one sentence: its verb with the callers, the destinations, and which requests are meant. What is not
// given is not limited.
type Assertion struct {
	// Name is for people; empty leaves the sentence to stand for itself.
	Name string `yaml:"name"`
	// Must: every such call is allowed. Never: none is. Only: none is, from anybody but these. Exactly one is given.
	Must  Words `yaml:"must"`
	Never Words `yaml:"never"`
	Only  Words `yaml:"only"`
	// To names Services, or workloads where no Service is called so, as NAMESPACE/NAME or NAMESPACE/NAME:PORT.
	To Words `yaml:"to"`
	// By limits the ways to address them: service, pod, or any. Must is about calls by service unless it says otherwise.
	By string `yaml:"by"`
	// Protocol limits the calls to those that speak http or tcp.
	Protocol string `yaml:"protocol"`
	// The rest limits requests, each written as in an AuthorizationPolicy.
	Methods    Words            `yaml:"methods"`
	NotMethods Words            `yaml:"notMethods"`
	Paths      Words            `yaml:"paths"`
	NotPaths   Words            `yaml:"notPaths"`
	Hosts      Words            `yaml:"hosts"`
	NotHosts   Words            `yaml:"notHosts"`
	Headers    map[string]Words `yaml:"headers"`
	SourceIPs  Words            `yaml:"sourceIPs"`
	// Token is none, valid, invalid or any; Issuer and Claims limit valid ones. Must means requests without a token, and
	// Never any, unless it says otherwise.
	Token  string           `yaml:"token"`
	Issuer string           `yaml:"issuer"`
	Claims map[string]Words `yaml:"claims"`
}

// Words is one word or a list of them.
type Words []string

// UnmarshalYAML reads a scalar or a list.
func (w *Words) UnmarshalYAML(unmarshal func(any) error) error {
	var list []string
	if err := unmarshal(&list); err == nil {
		*w = list
		return nil
	}
	var one string
	if err := unmarshal(&one); err != nil {
		return err
	}
	*w = Words{one}
	return nil
}

// Parse reads a document strictly: a word that is not known is an error, since a limit that is misspelt would widen a
// sentence. Name is the file's, for messages.
func Parse(name string, data []byte) (*Document, error) {
	var d Document
	if err := yaml.UnmarshalStrict(data, &d); err != nil {
		return nil, fmt.Errorf("%s: %s", name, strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), " in type assertion.", " in "))
	}
	if d.APIVersion != APIVersion || d.Kind != Kind {
		return nil, fmt.Errorf("%s: it is a %q of %q; want kind %s of apiVersion %s", name, d.Kind, d.APIVersion, Kind, APIVersion)
	}
	if len(d.Assertions) == 0 {
		return nil, fmt.Errorf("%s: it asserts nothing: list sentences under assertions", name)
	}
	for i := range d.Assertions {
		a := &d.Assertions[i]
		if err := a.check(); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, a.label(i), err)
		}
	}
	return &d, nil
}

// label names an assertion in messages.
func (a *Assertion) label(i int) string {
	if a.Name != "" {
		return fmt.Sprintf("assertions[%d] (%s)", i, a.Name)
	}
	return fmt.Sprintf("assertions[%d]", i)
}

func (a *Assertion) check() error {
	verbs := 0
	for _, list := range []Words{a.Must, a.Never, a.Only} {
		if len(list) > 0 {
			verbs++
		}
	}
	if verbs != 1 {
		return fmt.Errorf("it has %d verbs; want one of must, never and only, with the callers", verbs)
	}
	if len(a.To) == 0 {
		return fmt.Errorf("to is missing: name destinations as NAMESPACE/NAME or NAMESPACE/NAME:PORT")
	}
	for _, c := range a.callers() {
		if _, err := parseCaller(c); err != nil {
			return err
		}
	}
	for _, t := range a.To {
		if _, err := parsePlace(t); err != nil {
			return err
		}
	}
	for _, limited := range []struct {
		field, value string
		of           []string
	}{
		{"by", a.By, []string{"service", "pod", "any"}},
		{"protocol", a.Protocol, []string{"http", "tcp"}},
		{"token", a.Token, []string{"none", "valid", "invalid", "any"}},
	} {
		if limited.value != "" && !slices.Contains(limited.of, limited.value) {
			return fmt.Errorf("%s: %q is none of %s", limited.field, limited.value, strings.Join(limited.of, ", "))
		}
	}
	if len(a.Claims) > 0 && a.Token != "" && a.Token != "valid" {
		return fmt.Errorf("claims are those of a valid token, and token is %s", a.Token)
	}
	for _, p := range slices.Concat(a.Paths, a.NotPaths) {
		if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "*") {
			return fmt.Errorf("paths: %q: an HTTP path begins with a slash", p)
		}
	}
	return nil
}

// callers are the verb's.
func (a *Assertion) callers() Words { return slices.Concat(a.Must, a.Never, a.Only) }

// Sentence says the assertion in words.
func (a *Assertion) Sentence() string {
	var b strings.Builder
	who, to := strings.Join(a.callers(), " or "), strings.Join(a.To, " or ")
	switch {
	case len(a.Must) > 0:
		fmt.Fprintf(&b, "%s must be able to call %s", who, to)
	case len(a.Never) > 0:
		fmt.Fprintf(&b, "%s may never call %s", who, to)
	default:
		fmt.Fprintf(&b, "nobody but %s may call %s", who, to)
	}
	add := func(word string, list Words) {
		if len(list) > 0 {
			fmt.Fprintf(&b, ", %s %s", word, strings.Join(list, " or "))
		}
	}
	add("method", a.Methods)
	add("method other than", a.NotMethods)
	add("path", a.Paths)
	add("path other than", a.NotPaths)
	add("host", a.Hosts)
	add("host other than", a.NotHosts)
	for _, h := range sorted(a.Headers) {
		add("header "+h, a.Headers[h])
	}
	add("from address", a.SourceIPs)
	if a.Token != "" {
		add("token", Words{a.Token})
	}
	if a.Issuer != "" {
		add("issuer", Words{a.Issuer})
	}
	for _, c := range sorted(a.Claims) {
		add("claim "+c, a.Claims[c])
	}
	if a.Protocol != "" {
		add("speaking", Words{a.Protocol})
	}
	if a.By != "" && a.By != "any" {
		add("by", Words{a.By})
	}
	return b.String()
}

// requests are the requests meant, in the terms of policies.
func (a *Assertion) requests(r *authz.Requirement) {
	r.Operation = authz.Operation{Methods: a.Methods, NotMethods: a.NotMethods, Paths: a.Paths, NotPaths: a.NotPaths, Hosts: a.Hosts, NotHosts: a.NotHosts}
	for _, h := range sorted(a.Headers) {
		r.When = append(r.When, authz.Condition{Key: "request.headers[" + h + "]", Values: a.Headers[h]})
	}
	if len(a.SourceIPs) > 0 {
		r.When = append(r.When, authz.Condition{Key: "source.ip", Values: a.SourceIPs})
	}
	for _, c := range sorted(a.Claims) {
		r.When = append(r.When, authz.Condition{Key: "request.auth.claims[" + strings.ReplaceAll(c, ".", "][") + "]", Values: a.Claims[c]})
	}
	r.Protocol = authz.Protocol(a.Protocol)
	r.Issuer = a.Issuer
	r.Token = authz.TokenChoice(a.Token)
	if a.Token == "" {
		switch {
		case len(a.Claims) > 0 || a.Issuer != "":
			r.Token = authz.TokenValid
		case len(a.Must) > 0:
			r.Token = authz.TokenNone
		}
	}
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
