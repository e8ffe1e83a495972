package generate

import (
	"net/netip"
	"strings"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
)

// set gives attribute key of r a value that pattern accepts, or (off) one just beside it.
func (b *builder) set(r *corpus.Request, key, pattern string, off bool) {
	value := func(kind []string) string {
		v := b.witness(pattern, kind)
		if off {
			v = b.near(v, kind)
		}
		return v
	}
	switch {
	case key == "source.principal", key == "source.namespace", key == "source.serviceAccount", key == "source.trustDomain":
		b.setIdentity(r, key, pattern, off)
	case key == "source.ip":
		r.SourceIP = b.address(pattern, sourceIPs, off)
	case key == "remote.ip":
		r.RemoteIP = b.address(pattern, remoteIPs, off)
		if off && b.chance(20) {
			r.RemoteIP = ""
		}
	case key == "destination.port":
		b.setPort(r, pattern, off)
	case key == "connection.sni":
		r.SNI = serverName(value(snis))
		if off && b.chance(20) {
			r.SNI = ""
		}
		if b.chance(60) {
			r.Protocol = "tcp"
		}
	case key == "method":
		r.Method = b.method(pattern, off)
	case key == "path":
		r.Path = b.path(pattern, off)
	case key == "host":
		r.Host = token(value(hosts))
	case key == "request.headers[:method]":
		r.Method = b.method(pattern, off)
	case key == "request.headers[:path]":
		r.Path = b.path(pattern, off)
	case key == "request.headers[:authority]", key == "request.headers[host]":
		r.Host = token(value(hosts))
	case strings.HasPrefix(key, "request.headers["):
		name := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(key, "request.headers["), "]"))
		r.Headers = map[string]string{name: strings.TrimSpace(value(headerVals))} // a proxy never sees space around a value
		if off && b.chance(40) {
			r.Headers = nil
		}
	case strings.HasPrefix(key, "request.auth."):
		b.setClaim(r, strings.TrimPrefix(key, "request.auth."), pattern, off)
	}
}

func (b *builder) setIdentity(r *corpus.Request, key, pattern string, off bool) {
	td, ns, sa := "cluster.local", b.pick(namespaces...), b.pick(serviceAccounts...)
	if parts := strings.Split(r.SourcePrincipal, "/"); len(parts) == 5 {
		td, ns, sa = parts[0], parts[2], parts[4]
	}
	switch key {
	case "source.namespace":
		ns = b.segment(pattern, namespaces, off)
	case "source.trustDomain":
		td = b.segment(pattern, trustDomains, off)
	case "source.serviceAccount":
		if n, a, ok := strings.Cut(pattern, "/"); ok {
			ns, sa = n, a
		} else {
			ns, sa = b.c.Workload.Namespace, pattern
		}
		if off {
			if b.chance(50) {
				ns = b.pick(namespaces...)
			} else {
				sa = b.segment(sa, serviceAccounts, true)
			}
		}
	case "source.principal":
		r.SourcePrincipal = b.matchingPrincipal(pattern, off)
		return
	}
	ns, sa = b.segment(ns, namespaces, false), b.segment(sa, serviceAccounts, false)
	r.SourcePrincipal = td + "/ns/" + ns + "/sa/" + sa
	if off && b.chance(15) {
		r.SourcePrincipal = ""
	}
}

// segment is a witness for one part of an identity: letters, digits, dots and dashes only.
func (b *builder) segment(pattern string, kind []string, off bool) string {
	v := b.witness(pattern, kind)
	if off {
		v = b.near(v, kind)
	}
	v = strings.Trim(strings.ReplaceAll(strings.ToLower(v), "/", "-"), "-.")
	if v == "" {
		return b.pick(kind...)
	}
	return v
}

// matchingPrincipal searches well-formed identities for one that the pattern accepts (or does not, when off).
func (b *builder) matchingPrincipal(pattern string, off bool) string {
	if off && b.chance(15) {
		return ""
	}
	if !strings.Contains(pattern, "*") && !off && strings.Count(pattern, "/") == 4 {
		return pattern
	}
	best := b.principal()
	for range 200 {
		p := b.principal()
		if accepts(pattern, p) != off {
			return p
		}
	}
	return best
}

func accepts(pattern, v string) bool {
	switch {
	case pattern == "*":
		return v != ""
	case strings.HasPrefix(pattern, "*"):
		return strings.HasSuffix(v, pattern[1:])
	case strings.HasSuffix(pattern, "*"):
		return strings.HasPrefix(v, pattern[:len(pattern)-1])
	}
	return pattern == v
}

// address picks an IPv4 (or, for remote addresses, IPv6) inside or outside a block by its text: good enough to hit often.
func (b *builder) address(block string, kind []string, off bool) string {
	ip, _, _ := strings.Cut(block, "/")
	allowV6 := kind[len(kind)-1] == remoteIPs[len(remoteIPs)-1]
	addr, err := netip.ParseAddr(ip)
	if off || err != nil || addr.IsUnspecified() || (addr.Is6() && !allowV6) {
		return b.pick(kind...)
	}
	return ip
}

func (b *builder) setPort(r *corpus.Request, pattern string, off bool) {
	port := portNumber(pattern)
	if off {
		port = portNumber(b.pick(portNumbers...))
	}
	switch port {
	case 80:
		r.ServicePort, r.DestinationPort = 80, 8080
	case 443, 8443:
		r.ServicePort, r.DestinationPort, r.Protocol = 443, 8443, "tcp"
	default:
		r.DestinationPort = port
	}
}

// method picks a method that Envoy's HTTP/1 codec takes and the pattern accepts (or does not, when off).
func (b *builder) method(pattern string, off bool) string {
	for _, m := range b.some(len(methods), methods) {
		if accepts(pattern, m) != off {
			return m
		}
	}
	return b.pick(methods...)
}

// path fills templates and patterns; token-like values only, since the request line must stay parseable.
func (b *builder) path(pattern string, off bool) string {
	if strings.Contains(pattern, "{") {
		p := strings.ReplaceAll(pattern, "{**}", b.pick("x", "x/y/z", "7", ""))
		p = strings.ReplaceAll(p, "{*}", b.pick("v1", "7", "a-b", ""))
		if off {
			p = b.pick(p+"/more", strings.TrimSuffix(p, "s"), "/x"+p, p+"/")
		}
		return p
	}
	v := b.witness(pattern, paths)
	if off {
		v = b.near(v, paths)
	}
	if !strings.HasPrefix(v, "/") {
		v = "/" + v
	}
	if b.chance(6) {
		v = b.pick(v+"?x=1", "/x/.."+v, v+"?next=/admin", strings.Replace(v, "/a", "/%61", 1))
	}
	return v
}

// setClaim puts what the condition reads into the token.
func (b *builder) setClaim(r *corpus.Request, key, pattern string, off bool) {
	if r.JWT == nil || b.chance(30) {
		r.JWT = b.claims()
		if len(b.jwt) > 0 && b.chance(80) {
			rule := b.jwt[b.IntN(len(b.jwt))]
			r.JWT["iss"] = rule.Issuer
			if len(rule.Audiences) > 0 {
				r.JWT["aud"] = b.pick(rule.Audiences...)
			}
		}
	}
	value := func(kind []string) string {
		v := b.witness(pattern, kind)
		if off {
			v = b.near(v, kind)
		}
		return v
	}
	switch {
	case key == "principal":
		iss, sub, ok := strings.Cut(strings.Replace(pattern, "https://", "https:", 1), "/")
		if ok && !off {
			r.JWT["iss"] = b.witness(strings.Replace(iss, "https:", "https://", 1), issuers)
			r.JWT["sub"] = b.witness(sub, subjects)
		}
		if off && b.chance(40) {
			r.JWT = nil
		}
	case key == "audiences":
		r.JWT["aud"] = anyList([]string{value(audiences), "other"})
	case key == "presenter":
		r.JWT["azp"] = value(subjects)
	case key == "claims[groups]":
		r.JWT["groups"] = anyList([]string{"none", value(groups)})
	case key == "claims[realm][roles]":
		r.JWT["realm"] = map[string]any{"roles": anyList([]string{value(groups)})}
	case key == "claims[sub]":
		r.JWT["sub"] = value(subjects)
	case key == "claims[scope]":
		r.JWT["scope"] = value(scopes) + " other"
	}
}

// token keeps a value printable as an HTTP method or host.
func token(v string) string {
	v = strings.ReplaceAll(v, " ", "-")
	if v == "" {
		return "x"
	}
	return v
}

// serverName keeps a value usable as an SNI: what a TLS client would send.
func serverName(v string) string { return strings.Trim(strings.ToLower(v), ".") }
