package route

import (
	"fmt"
	"regexp"

	apinetworking "istio.io/api/networking/v1alpha3"
)

func quote(s string) string { return regexp.QuoteMeta(s) }

// field says where a part of a route was read.
func (r *httpRule) field(p Part, name string) Origin {
	if o, ok := r.fields[p]; ok && o != (Origin{}) {
		if o.Object != r.origin.Object { // a delegate's root
			o.Field += "." + name
		}
		return o
	}
	return Origin{r.origin.Object, r.origin.Field + "." + name}
}

// httpAction translates what a route does (core/route/route.go TranslateRoute).
func (w *World) httpAction(v *virtual, r *httpRule, port uint32, who client, home *Service) *Action {
	h := r.route
	a := &Action{Kind: Forward, Timeout: h.GetTimeout().AsDuration(), Fields: map[Part]Origin{}}
	var authority string
	a.Headers, authority = headerTexts(h.GetHeaders())
	a.Fields[PartHeaders] = r.field(PartHeaders, "headers")
	if h.GetFault() != nil {
		a.Fault = orEmpty(h.GetFault())
		a.Fields[PartFault] = r.field(PartFault, "fault")
	}
	if h.GetCorsPolicy() != nil {
		a.CORS = orEmpty(h.GetCorsPolicy())
		a.Fields[PartCORS] = r.field(PartCORS, "corsPolicy")
	}
	if w.answer(a, r, port) {
		a.Timeout = 0
		return a
	}
	if h.GetTimeout() != nil {
		a.Fields[PartTimeout] = r.field(PartTimeout, "timeout")
	}
	a.Retries = retries(h.GetRetries(), w.Config.Retries)
	if h.GetRetries() != nil {
		a.Fields[PartRetries] = r.field(PartRetries, "retries.attempts")
	} else {
		w.noteMeshRetries(a)
	}
	a.rewrite(v, r)
	if own := h.GetRewrite().GetAuthority(); own != "" {
		authority = own
	}
	a.Authority = authority
	a.Fields[PartRewrite] = r.field(PartRewrite, "rewrite")
	w.mirrors(a, r, port, who, home)
	w.destinations(a, v, r, port, who, home)
	return a
}

// answer fills redirects and direct responses.
func (w *World) answer(a *Action, r *httpRule, port uint32) bool {
	h := r.route
	switch {
	case h.GetRedirect() != nil:
		a.Kind, a.Status = Redirect, h.GetRedirect().GetRedirectCode()
		if a.Status == 0 {
			a.Status = 301
		}
		a.redirect = redirectOf(h.GetRedirect(), r.pathTest(), port)
		a.Text = a.redirect.words()
		a.Fields[PartAnswer] = r.field(PartAnswer, "redirect")
	case h.GetDirectResponse() != nil:
		a.Kind, a.Status = Respond, h.GetDirectResponse().GetStatus()
		a.Text = h.GetDirectResponse().GetBody().GetString_() + string(h.GetDirectResponse().GetBody().GetBytes())
		a.Fields[PartAnswer] = r.field(PartAnswer, "directResponse")
	default:
		return false
	}
	return true
}

func redirectOf(d *apinetworking.HTTPRedirect, covered Test, port uint32) *redirectTo {
	to := &redirectTo{scheme: d.GetScheme(), host: d.GetAuthority(), path: d.GetUri()}
	if d.GetPrefixRewrite() != "" {
		to.prefix = &pathChange{covered: covered, to: d.GetPrefixRewrite()}
	}
	switch p := d.GetRedirectPort().(type) {
	case *apinetworking.HTTPRedirect_Port:
		to.port = p.Port
	case *apinetworking.HTTPRedirect_DerivePort:
		if p.DerivePort == apinetworking.HTTPRedirect_FROM_REQUEST_PORT {
			to.port = port
		}
	}
	https := d.GetScheme() == "https"
	if to.port == 443 && https || to.port == 80 && !https {
		to.port = 0
	}
	return to
}

func (to *redirectTo) words() string {
	out := fmt.Sprintf("scheme %q host %q", to.scheme, to.host)
	if to.prefix != nil {
		out += fmt.Sprintf(" prefix %q", to.prefix.to)
	} else {
		out += fmt.Sprintf(" path %q", to.path)
	}
	if to.port != 0 {
		out += fmt.Sprintf(" port %d", to.port)
	}
	return out
}

// pathTest is the rule's test of the path, the zero Test for none.
func (r *httpRule) pathTest() Test {
	for _, t := range r.match {
		if t.Attribute == "path" {
			return t
		}
	}
	return Test{}
}

// rewrite fills the change of the path. A prefix that ends at a segment is taken away with its slash. A regular
// expression that does not compile changes nothing: Envoy refuses the whole configuration, and Problems names it.
func (a *Action) rewrite(v *virtual, r *httpRule) {
	rw, covered := r.route.GetRewrite(), r.pathTest()
	switch own := rw.GetUriRegexRewrite(); {
	case own != nil:
		a.Rewrite = fmt.Sprintf("regex %q to %q", own.GetMatch(), own.GetRewrite())
		if re, err := regexp.Compile(own.GetMatch()); err == nil {
			a.path = &pathChange{pattern: re, substitution: goSubstitution(own.GetRewrite())}
		}
	case rw.GetUri() == "":
	case v.gatewayAPI && rw.GetUri() == "/":
		from := ""
		if covered.Op == Segment {
			from = covered.Value
		}
		a.Rewrite = fmt.Sprintf("%s %s taken away", Segment, from)
		a.path = &pathChange{pattern: regexp.MustCompile("^" + quote(from) + "(/?)(.*)"), substitution: "/${2}"}
	default:
		from := "/"
		if covered != (Test{}) {
			from = string(covered.Op) + " " + covered.Value
		}
		a.Rewrite = fmt.Sprintf("%s to %q", from, rw.GetUri())
		a.path = &pathChange{covered: covered, to: rw.GetUri()}
	}
}

func (w *World) mirrors(a *Action, r *httpRule, port uint32, who client, home *Service) {
	h := r.route
	add := func(d *apinetworking.Destination, percent float64) {
		if d == nil || percent <= 0 {
			return
		}
		t, _ := w.target(d.GetHost(), w.destinationPort(d, port, who, home), d.GetSubset(), who)
		text := fmt.Sprintf("%g%% to %s", percent, t.Key)
		if t.Subset != "" {
			text += " (a subset)"
		}
		a.Mirrors = append(a.Mirrors, text)
		a.Fields[PartMirror] = r.field(PartMirror, "mirrors")
	}
	if d := h.GetMirror(); d != nil {
		percent := 100.0
		switch {
		case h.GetMirrorPercentage() != nil:
			percent = h.GetMirrorPercentage().GetValue()
		case h.GetMirrorPercent() != nil: //nolint:staticcheck // deprecated and still read
			percent = float64(h.GetMirrorPercent().GetValue()) //nolint:staticcheck // as above
		}
		add(d, percent)
	}
	for _, m := range h.GetMirrors() {
		percent := 100.0
		if m.GetPercentage() != nil {
			percent = m.GetPercentage().GetValue()
		}
		add(m.GetDestination(), percent)
	}
}

// destinations fills where calls go. Of several, those of weight 0 are left out.
func (w *World) destinations(a *Action, v *virtual, r *httpRule, port uint32, who client, home *Service) {
	list := r.route.GetRoute()
	for i, d := range list {
		weight := uint32(1)
		if len(list) > 1 {
			if d.GetWeight() <= 0 {
				continue
			}
			weight = uint32(d.GetWeight())
		}
		at := Origin{r.origin.Object, fmt.Sprintf("%s.route[%d].destination", r.origin.Field, i)}
		if o, ok := r.fields[PartDestination]; ok && v.gatewayAPI {
			at = Origin{o.Object, fmt.Sprintf("%s[%d]", o.Field, i)}
		}
		dest := w.destination(d.GetDestination(), port, who, home, weight, at)
		var authority string
		dest.Headers, authority = headerTexts(d.GetHeaders())
		if authority != "" && a.Authority == "" {
			dest.Headers = append(dest.Headers, "host "+authority)
		}
		a.Destinations = append(a.Destinations, dest)
	}
	a.Fields[PartSplit] = r.field(PartSplit, "route")
	if v.gatewayAPI {
		a.Fields[PartSplit] = r.fields[PartSplit]
	}
	if len(a.Destinations) == 0 {
		a.Kind, a.Status, a.Text = Refuse, 503, "the route has no destination"
		a.Fields[PartDestination] = r.field(PartDestination, "route")
		return
	}
	missing := a.missing()
	if missing > 0 {
		a.MissingStatus = 503
		if v.gatewayAPI {
			a.MissingStatus = 500
		}
	}
	if missing == len(a.Destinations) {
		a.Kind, a.Status, a.Text = Refuse, a.MissingStatus, "no cluster for "+a.Destinations[0].Target.Name()
		a.noCluster()
	}
}

// noCluster takes the destinations away, and keeps where they were read.
func (a *Action) noCluster() {
	for _, p := range []Part{PartSubset, PartDestination} {
		if o := a.origin(p); o != (Origin{}) {
			a.Fields[p] = o
		}
	}
	a.Destinations = nil
}

func (a *Action) missing() int {
	n := 0
	for _, d := range a.Destinations {
		if d.Target.Missing {
			n++
		}
	}
	return n
}

func (w *World) destination(d *apinetworking.Destination, port uint32, who client, home *Service, weight uint32, at Origin) Destination {
	t, policy := w.target(d.GetHost(), w.destinationPort(d, port, who, home), d.GetSubset(), who)
	return Destination{Target: t, Weight: weight, Policy: policy, Origin: at}
}

// connAction translates a route of connections.
func (w *World) connAction(r *connRule, port uint32, who client, home *Service) *Action {
	a := &Action{Kind: Forward, Fields: map[Part]Origin{PartSplit: r.origin, PartDestination: r.origin}}
	for i, d := range r.route {
		weight := uint32(1)
		if len(r.route) > 1 {
			if d.GetWeight() <= 0 {
				continue
			}
			weight = uint32(d.GetWeight())
		}
		at := Origin{r.origin.Object, fmt.Sprintf("%s.route[%d].destination", r.origin.Field, i)}
		a.Destinations = append(a.Destinations, w.destination(d.GetDestination(), port, who, home, weight, at))
	}
	if len(a.Destinations) == 0 || a.missing() == len(a.Destinations) {
		a.Kind, a.Text = Refuse, "no cluster for the destination"
		a.noCluster()
	}
	return a
}
