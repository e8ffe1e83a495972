package route

import (
	"fmt"
	"regexp"
	"strings"

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
		a.Text = redirectText(h.GetRedirect(), port)
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

func redirectText(d *apinetworking.HTTPRedirect, port uint32) string {
	out := fmt.Sprintf("scheme %q host %q", d.GetScheme(), d.GetAuthority())
	if d.GetPrefixRewrite() != "" {
		out += fmt.Sprintf(" prefix %q", d.GetPrefixRewrite())
	} else {
		out += fmt.Sprintf(" path %q", d.GetUri())
	}
	var n uint32
	switch p := d.GetRedirectPort().(type) {
	case *apinetworking.HTTPRedirect_Port:
		n = p.Port
	case *apinetworking.HTTPRedirect_DerivePort:
		if p.DerivePort == apinetworking.HTTPRedirect_FROM_REQUEST_PORT {
			n = port
		}
	}
	https := d.GetScheme() == "https"
	if n != 0 && (n != 443 || !https) && (n != 80 || https) {
		out += fmt.Sprintf(" port %d", n)
	}
	return out
}

// rewrite fills the change of the path. A prefix that ends at a segment is taken away with its slash.
func (a *Action) rewrite(v *virtual, r *httpRule) {
	rw := r.route.GetRewrite()
	switch {
	case rw.GetUriRegexRewrite() != nil:
		a.Rewrite = fmt.Sprintf("regex %q to %q", rw.GetUriRegexRewrite().GetMatch(), rw.GetUriRegexRewrite().GetRewrite())
	case rw.GetUri() == "":
	default:
		from := "/"
		for _, t := range r.match {
			if t.Attribute == "path" {
				from = string(t.Op) + " " + t.Value
			}
		}
		a.Rewrite = fmt.Sprintf("%s to %q", from, rw.GetUri())
		if v.gatewayAPI && rw.GetUri() == "/" {
			a.Rewrite = fmt.Sprintf("%s taken away", strings.TrimSuffix(from, "/"))
		}
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
	if missing := a.missing(); missing == len(a.Destinations) {
		a.Kind, a.Status, a.Text = Refuse, 503, "no cluster for "+a.Destinations[0].Target.Name()
		if v.gatewayAPI {
			a.Status = 500
		}
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
