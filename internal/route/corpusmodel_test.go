package route_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	apinetworking "istio.io/api/networking/v1alpha3"

	"github.com/sidestep-mesh/sidestep/internal/route"
)

// behind writes what stands behind a destination as the judges do: pods with their port.
func behind(d route.Destination) string {
	names, port, _ := strings.Cut(d.Target.Key, "|")
	switch {
	case d.Target.Missing:
		return ""
	case names == "nobody":
		return "nobody"
	case strings.Contains(names, " was called by"):
		return "original destination"
	}
	return strings.ReplaceAll(names, "Deployment/", "") + ":" + port
}

// read reads a canonical text back.
func read(t testing.TB, text string, into proto.Message) {
	t.Helper()
	if text == "" {
		return
	}
	if err := protojson.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// policyParts writes a traffic policy as istiod writes it into a cluster.
func policyParts(t testing.TB, p route.Policy) map[string]string {
	t.Helper()
	out := parts{}
	if mode, text, _ := strings.Cut(p.TLS, " "); mode != "" {
		var tls struct{ SNI string }
		if err := json.Unmarshal([]byte(text), &tls); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if tls.SNI != "" {
			mode += " sni " + tls.SNI
		}
		out.put("tls", mode)
	}
	pool, outlier := &apinetworking.ConnectionPoolSettings{}, &apinetworking.OutlierDetection{}
	read(t, p.Pool, pool)
	number := func(name string, n int32) {
		if n != 0 {
			out.put(name, fmt.Sprint(n))
		}
	}
	number("connections", pool.GetTcp().GetMaxConnections())
	number("pending", pool.GetHttp().GetHttp1MaxPendingRequests())
	if p.Outlier != "" {
		read(t, p.Outlier, outlier)
		out.put("outlier", fmt.Sprintf("5xx=%d gateway=0 ejection=0s", outlier.GetConsecutive_5XxErrors().GetValue()))
	}
	return out
}

func percentText(p float64) string { return fmt.Sprintf("%g%%", p) }

// faultText writes a fault, and the status of one that aborts every call.
func faultText(t testing.TB, text string) (string, int) {
	f := &apinetworking.HTTPFaultInjection{}
	if text == "" || text == "{}" {
		return "", 0
	}
	read(t, text, f)
	var out []string
	status := 0
	if a := f.GetAbort(); a != nil {
		out = append(out, fmt.Sprintf("abort %d %s", a.GetHttpStatus(), percentText(a.GetPercentage().GetValue())))
		if a.GetPercentage().GetValue() == 100 {
			status = int(a.GetHttpStatus())
		}
	}
	if d := f.GetDelay(); d != nil {
		out = append(out, fmt.Sprintf("delay %s %s", d.GetFixedDelay().AsDuration(), percentText(d.GetPercentage().GetValue())))
	}
	return strings.Join(out, ", "), status
}

func corsText(t testing.TB, text string) string {
	t.Helper()
	if text == "" {
		return ""
	}
	c := &apinetworking.CorsPolicy{}
	read(t, text, c)
	var origins []string
	for _, o := range c.GetAllowOrigins() {
		switch m := o.GetMatchType().(type) {
		case *apinetworking.StringMatch_Exact:
			origins = append(origins, "exact "+m.Exact)
		case *apinetworking.StringMatch_Prefix:
			origins = append(origins, "prefix "+m.Prefix)
		case *apinetworking.StringMatch_Regex:
			origins = append(origins, "regex "+m.Regex)
		}
	}
	age := ""
	if c.GetMaxAge() != nil {
		age = strconv.FormatInt(c.GetMaxAge().GetSeconds(), 10)
	}
	out := fmt.Sprintf("origins %s methods %q headers %q expose %q age %q", strings.Join(origins, ","), strings.Join(c.GetAllowMethods(), ","),
		strings.Join(c.GetAllowHeaders(), ","), strings.Join(c.GetExposeHeaders(), ","), age)
	if c.GetAllowCredentials() != nil {
		out += fmt.Sprintf(" credentials %v", c.GetAllowCredentials().GetValue())
	}
	return out
}

// condition is a retry policy taken apart as istiod does it.
type condition struct {
	on    []string
	codes []int
}

func conditionOf(on string) condition {
	var c condition
	for _, p := range strings.Split(on, ",") {
		p = strings.TrimSpace(p)
		if n, err := strconv.Atoi(p); err == nil && http.StatusText(n) != "" {
			c.codes = append(c.codes, n)
		} else if p != "" {
			c.on = append(c.on, p)
		}
	}
	if len(c.codes) > 0 && !slices.Contains(c.on, "retriable-status-codes") {
		c.on = append(c.on, "retriable-status-codes")
	}
	return c
}

func (c condition) has(words ...string) bool {
	return slices.ContainsFunc(c.on, func(s string) bool { return slices.Contains(words, s) })
}

func retriesText(t testing.TB, r route.Retries) string {
	t.Helper()
	if r.Attempts == 0 {
		return ""
	}
	c := conditionOf(r.On)
	on := strings.Join(c.on, ",")
	if len(c.on) == 1 && len(c.codes) > 0 {
		on = "," + on // as istiod writes it
	}
	out := fmt.Sprintf("%d on %s", r.Attempts, on)
	if len(c.codes) > 0 {
		out += fmt.Sprintf(" codes %v", c.codes)
	}
	if r.PerTry != 0 {
		out += " each " + r.PerTry.String()
	}
	more := &apinetworking.HTTPRetry{}
	read(t, r.More, more)
	if b := more.GetBackoff().AsDuration(); b != 0 {
		out += " after " + b.String()
	}
	return out
}

// forwarded writes what becomes of a call that goes somewhere.
func (c *corpusCall) forwarded(t testing.TB, out parts, a *route.Action, abort int) {
	t.Helper()
	if a.Timeout != 0 {
		out.put("timeout", a.Timeout.String())
	}
	out.put("retries", retriesText(t, a.Retries))
	var mirrors []string
	for _, m := range a.Mirrors {
		m = strings.ReplaceAll(strings.TrimSuffix(m, " (a subset)"), "Deployment/", "")
		percent, key, _ := strings.Cut(m, " to ")
		switch {
		case strings.HasPrefix(key, "missing|"):
			key = ""
		case strings.HasPrefix(key, "nobody|"):
			key = "nobody"
		}
		mirrors = append(mirrors, percent+" to "+strings.Replace(key, "|", ":", 1))
	}
	slices.Sort(mirrors)
	out.put("mirrors", strings.Join(mirrors, "; "))
	d := a.Destinations[min(c.Answer.Chosen, len(a.Destinations)-1)]
	if a.MissingStatus != 0 && c.Answer.Seen == nil && c.Answer.Status == int(a.MissingStatus) { // no backend said which it was
		d = a.Destinations[slices.IndexFunc(a.Destinations, func(d route.Destination) bool { return d.Target.Missing })]
	}
	out.put("hash", hashText(t, a.Destinations))
	if abort != 0 {
		if c.Probe != "" {
			out.put("tries", "0")
		}
		return
	}
	if name := behind(d); name == "" || name == "nobody" {
		status := uint32(http.StatusServiceUnavailable)
		if name == "" {
			status = a.MissingStatus
		}
		out.put("status", fmt.Sprint(status))
		if c.Probe != "" {
			out.put("tries", "0")
		}
		return
	}
	if !c.probe(out, a) {
		return
	}
	out.put("path", a.SeenPath(c.Path))
	out.put("authority", orWord(a.Authority, c.Authority))
	request, response := map[string]string{}, map[string]string{"x-from": "backend", "x-secret": "one"}
	for k, v := range c.Headers {
		request[k] = v
	}
	for _, list := range [][]string{d.Headers, a.Headers} {
		change(list, "request", request)
		change(list, "response", response)
	}
	out.put("seen", watched(request))
	out.put("back", watched(response))
	if host, ok := request["host"]; ok {
		out["authority"] = host
	}
	out.put("http2", fmt.Sprint(d.Policy.Upgrade != "" || d.Target.Port == 9000))
}

// probe writes how often a call that fails is tried, and how it ends; it reports whether a backend's answer came.
func (c *corpusCall) probe(out parts, a *route.Action) bool {
	on := conditionOf(a.Retries.On)
	tries := func(again bool) {
		n := 1
		if again && a.Retries.Attempts > 0 {
			n += int(a.Retries.Attempts)
		}
		out.put("tries", fmt.Sprint(n))
	}
	switch c.Probe {
	case "503":
		out.put("status", "503")
		tries(on.has("5xx", "gateway-error") || on.has("retriable-status-codes") && slices.Contains(on.codes, 503))
		return true
	case "reset":
		out.put("status", "503")
		tries(on.has("5xx", "gateway-error", "reset"))
		return false
	case "hang":
		c.hang(out, a, on)
		return false
	}
	out.put("status", "200")
	return true
}

// hang follows a call that nobody answers, for as long as the caller of the corpus waits: a second.
func (c *corpusCall) hang(out parts, a *route.Action, on condition) {
	const waits = time.Second
	n, end, status := 1, waits, "0"
	if a.Retries.Attempts > 0 && a.Retries.PerTry > 0 && a.Retries.PerTry < waits {
		if on.has("5xx", "gateway-error", "reset") {
			n += int(a.Retries.Attempts)
		}
		end, status = a.Retries.PerTry*time.Duration(n), "504"
	}
	if a.Timeout > 0 && a.Timeout < end {
		status = "504"
		if a.Retries.PerTry > 0 && n > 1 {
			n = min(n, 1+int(a.Timeout/a.Retries.PerTry))
		}
	}
	out.put("status", status)
	out.put("tries", fmt.Sprint(n))
}

func hashText(t testing.TB, list []route.Destination) string {
	t.Helper()
	for _, d := range list {
		if d.Policy.Affinity != "" {
			h := &apinetworking.LoadBalancerSettings_ConsistentHashLB{}
			read(t, d.Policy.Affinity, h)
			return "header " + h.GetHttpHeaderName()
		}
	}
	return ""
}

// change does to headers what a list of changes says.
func change(list []string, side string, headers map[string]string) {
	for _, verb := range []string{"remove", "set", "add"} {
		for _, text := range list {
			rest, ok := strings.CutPrefix(text, verb+" "+side+" ")
			if !ok {
				continue
			}
			name, value, _ := strings.Cut(rest, ": ")
			switch old, had := headers[name]; {
			case verb == "remove":
				delete(headers, name)
			case verb == "add" && had:
				headers[name] = old + "," + value
			default:
				headers[name] = value
			}
		}
	}
}

func watched(headers map[string]string) string {
	var out []string
	for _, name := range []string{"x-team", "x-user", "x-add", "x-set", "x-secret", "x-from"} {
		if v, ok := headers[name]; ok {
			out = append(out, name+": "+v)
		}
	}
	return strings.Join(out, "; ")
}
