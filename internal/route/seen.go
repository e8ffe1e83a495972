package route

import (
	"fmt"
	"regexp"
	"strings"
)

// pathChange is a rewrite of the path as Envoy does it: what the match covered is replaced, the whole path where it was
// compared as a whole, and the query stays (router/config_impl.cc finalizePathHeader).
type pathChange struct {
	covered Test // the test of the path; the zero Test for the prefix /
	to      string
	// pattern is set where a regular expression is replaced wherever it occurs.
	pattern      *regexp.Regexp
	substitution string
}

func (c *pathChange) of(path string) string {
	bare, query := path, ""
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		bare, query = path[:i], path[i:]
	}
	if c.pattern != nil {
		return c.pattern.ReplaceAllString(bare, c.substitution) + query
	}
	if c.covered.Op == Exact || c.covered.Op == Regex {
		return c.to + query
	}
	n := len("/")
	if c.covered != (Test{}) {
		n = min(len(c.covered.Value), len(bare))
	}
	return c.to + bare[n:] + query
}

// groups writes RE2's \1 as Go's ${1}.
var groups = regexp.MustCompile(`\\(\d)`)

func goSubstitution(s string) string {
	return groups.ReplaceAllString(strings.ReplaceAll(s, "$", "$$"), "$${${1}}")
}

// redirectTo is where a redirect leads.
type redirectTo struct {
	scheme, host, path string
	prefix             *pathChange
	port               uint32
}

// SeenPath is the path, with its query, that a destination sees of a request for one.
func (a *Action) SeenPath(path string) string {
	if a.path == nil {
		return path
	}
	return a.path.of(path)
}

// Location is what a redirect tells the caller of a request (router/config_impl.cc newUri); empty for other answers.
func (a *Action) Location(r *Request, path string) string {
	to := a.redirect
	if to == nil {
		return ""
	}
	scheme, host := orDefault(to.scheme, orDefault(r.Scheme, "http")), to.host
	if host == "" {
		host = r.Authority
		name, port, hasPort := strings.Cut(host, ":")
		if hasPort && (to.port != 0 || to.scheme != "" && (port == "80" && scheme == "http" || port == "443" && scheme == "https" || defaultPort(r, port))) {
			host = name
		}
	}
	if to.port != 0 {
		host += fmt.Sprintf(":%d", to.port)
	}
	switch {
	case to.prefix != nil:
		path = to.prefix.of(path)
	case to.path != "":
		query := ""
		if i := strings.IndexByte(path, '?'); i >= 0 && !strings.Contains(to.path, "?") {
			query = path[i:]
		}
		path = to.path + query
	}
	return scheme + "://" + host + path
}

// defaultPort reports whether a port is the usual one of the request's scheme.
func defaultPort(r *Request, port string) bool {
	if r.Scheme == "https" {
		return port == "443"
	}
	return port == "80"
}
