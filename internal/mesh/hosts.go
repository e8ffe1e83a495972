package mesh

import (
	"slices"
	"strings"
)

// hostIndex finds Services by the hosts that routes name. Wildcards look up a suffix in the list of
// reversed hosts, so that one lookup costs what it returns.
type hostIndex struct {
	domain   string // of Services
	services []*Service
	exact    map[string][]*Service
	reversed []reversedHost // made when the first wildcard asks
}

type reversedHost struct {
	host    string
	service *Service
}

// indexHosts indexes services, which are sorted.
func indexHosts(services []*Service, domain string) *hostIndex {
	x := &hostIndex{domain: domain, services: services, exact: make(map[string][]*Service, len(services))}
	for _, s := range services {
		for _, h := range s.Hosts {
			x.exact[h] = append(x.exact[h], s)
		}
	}
	return x
}

func (x *hostIndex) reverseHosts() {
	for _, s := range x.services {
		for _, h := range s.Hosts {
			x.reversed = append(x.reversed, reversedHost{reverse(h), s})
		}
	}
	slices.SortStableFunc(x.reversed, func(a, b reversedHost) int { return strings.Compare(a.host, b.host) })
}

// find returns the Services of a host as written in an object of a namespace: a short name, a full
// name, or a wildcard. name.ns and name.ns.svc are taken for the Service they look like: Envoy's virtual
// hosts answer to them too.
func (x *hostIndex) find(host, namespace string) []*Service {
	switch {
	case host == "":
		return nil
	case strings.HasPrefix(host, "*"):
		return x.suffix(host[1:])
	case !strings.Contains(host, "."):
		return x.exact[host+"."+namespace+"."+x.domain]
	}
	if found := x.exact[host]; len(found) > 0 {
		return found
	}
	switch parts := strings.Split(host, "."); {
	case len(parts) == 2, len(parts) == 3 && parts[2] == "svc":
		return x.exact[parts[0]+"."+parts[1]+"."+x.domain]
	}
	return x.wildcardEntries(host)
}

// wildcardEntries returns ServiceEntries whose own host is a wildcard that covers the host.
func (x *hostIndex) wildcardEntries(host string) []*Service {
	for rest := host; ; {
		_, after, found := strings.Cut(rest, ".")
		if !found {
			return nil
		}
		if s := x.exact["*."+after]; len(s) > 0 {
			return s
		}
		rest = after
	}
}

func (x *hostIndex) suffix(suffix string) []*Service {
	if x.reversed == nil {
		x.reverseHosts()
	}
	prefix := reverse(suffix)
	i, _ := slices.BinarySearchFunc(x.reversed, prefix, func(h reversedHost, p string) int { return strings.Compare(h.host, p) })
	seen := map[*Service]bool{}
	var out []*Service
	for ; i < len(x.reversed) && strings.HasPrefix(x.reversed[i].host, prefix); i++ {
		if s := x.reversed[i].service; !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *Service) int { return a.Ref.Compare(b.Ref) })
	return out
}

// reverse reverses bytes; hosts are ASCII, and for other input any fixed order will do.
func reverse(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}
