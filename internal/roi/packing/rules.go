package packing

import corev1 "k8s.io/api/core/v1"

// withoutOwners drops the zones (or, by node or label, the whole bin) where a pod repels the item.
func (r *rule) withoutOwners(p *packer, b *bin, z zones) zones {
	if r.key == corev1.LabelTopologyZone {
		for _, n := range p.names(z) {
			if r.owners[n] > 0 {
				z &^= p.zoneBit[n]
			}
		}
		return z
	}
	for _, d := range p.domains(r, b) {
		if r.owners[d] > 0 {
			return 0
		}
	}
	return z
}

// allows applies a rule the item states and returns the zones that remain, none when it forbids the bin.
func (r *rule) allows(p *packer, b *bin, z, podZones zones, self bool) zones {
	if r.key == corev1.LabelTopologyZone {
		return r.allowsZones(p, z, podZones, self)
	}
	d := p.domains(r, b)
	if len(d) == 0 {
		return 0 // nodes without the key are not eligible
	}
	n := r.matched[d[0]]
	ok := false
	switch r.kind {
	case antiAffinity:
		ok = n == 0
	case affinity:
		ok = n > 0 || self && total(r.matched) == 0
	case spread:
		if self {
			n++
		}
		low := 0
		if r.key != corev1.LabelHostname {
			low = lowest(r.matched)
		}
		ok = n-low <= r.maxSkew // a new node is always an empty domain, so by host the minimum is zero
	}
	if !ok {
		return 0
	}
	return z
}

func (r *rule) allowsZones(p *packer, z, podZones zones, self bool) zones {
	var seen zones
	low, domains := -1, 0
	for _, n := range p.names(podZones) {
		domains++
		c := r.matched[n]
		if c > 0 {
			seen |= p.zoneBit[n]
		}
		if low < 0 || c < low {
			low = c
		}
	}
	switch r.kind {
	case antiAffinity:
		return z &^ seen
	case affinity:
		if seen == 0 && self { // the first of its kind chooses
			return z
		}
		return z & seen
	}
	if low < 0 || r.minDomains > domains {
		low = 0
	}
	one := 0
	if self {
		one = 1
	}
	for _, n := range p.names(z) {
		if r.matched[n]+one-low > r.maxSkew {
			z &^= p.zoneBit[n]
		}
	}
	return z
}

func total(m map[string]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}

func lowest(m map[string]int) int {
	low := -1
	for _, v := range m {
		if low < 0 || v < low {
			low = v
		}
	}
	return max(low, 0)
}
