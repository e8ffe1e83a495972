package packing

import (
	"math/bits"
	"slices"
	"strconv"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
)

func itoa(n int) string { return strconv.Itoa(n) }

// zones is a set of zones, one bit each; a packer knows at most 64.
type zones uint64

// item is a pod to be placed.
type item struct {
	shape *shape
	need  room
	group int
	kind  int // of the node it runs on now
	// zone restricts the item to some zones besides its shape (a volume that lives in one).
	zone zones
	// name breaks ties, so that equal input gives equal output.
	name string
	// born and uid are the pod's own; Karpenter orders equal pods by them.
	born time.Time
	uid  string
	node string // where it runs now
	// waits marks a pod that no node has room for today; pinned one that Karpenter may not move.
	waits, pinned bool
	// added marks a pod that the change adds: a waypoint, or a replica of an autoscaler.
	added    bool
	workload string
}

// bin is a node being filled.
type bin struct {
	group   int
	kind    int
	free    room
	whole   room            // what it can allocate beside DaemonSets
	alloc   terms.Resources // what it can allocate at all
	hourly  float64         // its price, 0 where it is not known
	slots   int             // pods that still fit by the kubelet's max pods
	zones   zones
	pods    int
	host    string
	ports   map[hostPort]bool
	labels  map[string]string
	members []*item
}

// packer places items on bins under every required rule.
type packer struct {
	grouping
	zoneNames []string
	zoneBit   map[string]zones
	shapes    *shapes
	bins      []*bin
	allowed   map[*shape][]zones // per group, the zones whose nodes admit the shape
	opened    []map[int]int      // nodes opened so far, by group and kind
	most      int                // bins that may be opened at all; 0 means any number
	nextHost  int
	random    uint64 // state of choose
}

// reset forgets every placement; seed decides the choices between equally good zones.
func (p *packer) reset(seed uint64) {
	p.bins, p.nextHost, p.random, p.most = nil, 0, seed, 0
	p.opened = make([]map[int]int, len(p.groups))
	for i := range p.opened {
		p.opened[i] = map[int]int{}
	}
	for _, r := range p.shapes.order {
		clear(r.matched)
		clear(r.owners)
	}
}

// choose draws from [0, n) by SplitMix64: the same seed gives the same choices.
func (p *packer) choose(n int) int {
	p.random += 0x9e3779b97f4a7c15
	return int(scatter(p.random) % uint64(n))
}

// scatter is SplitMix64's finaliser: every bit of the result depends on every bit of x.
func scatter(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// place puts the item on the first bin it fits, those with the fewest pods first, or on a new one, and reports success.
//
// This is what Karpenter does with nodes it is about to create (scheduling.Scheduler.add), down to the sort: which of equally filled
// bins comes first is left to Go's sort, which is not stable. A stable order keeps filling the bin that was filled last
// and ends with up to four nodes of forty more; the same sort ends where Karpenter does (test/karpenter).
func (p *packer) place(it *item) bool {
	slices.SortFunc(p.bins, func(a, b *bin) int { return a.pods - b.pods })
	for _, b := range p.bins {
		if b.group != it.group {
			continue
		}
		if z, ok := p.fits(it, b); ok {
			p.commit(it, b, z)
			return true
		}
	}
	if p.most > 0 && len(p.bins) >= p.most {
		return false
	}
	// As many of each kind as there are now, and any number more where those do not do.
	for _, more := range []bool{false, true} {
		for k := range p.groups[it.group].Kinds {
			if !more && p.opened[it.group][k] >= p.groups[it.group].Kinds[k].Count {
				continue
			}
			b := p.newBin(it.group, k)
			if z, ok := p.fits(it, b); ok {
				p.nextHost++
				p.opened[it.group][k]++
				p.bins = append(p.bins, b)
				p.commit(it, b, z)
				return true
			}
		}
	}
	return false
}

func (p *packer) newBin(group, kind int) *bin {
	g := &p.groups[group]
	k := &g.Kinds[kind]
	whole := k.Room.minus(k.Daemons)
	return &bin{group: group, kind: kind, free: whole.minus(room{}), whole: whole, alloc: k.Room.Resources, hourly: k.Hourly, slots: k.MaxPods - k.DaemonPods,
		zones: p.maskOf(g.Zones), host: "new-" + itoa(p.nextHost+1), labels: g.Labels}
}

// fits tells whether the item may go on the bin, and to which zones the bin is narrowed if it does.
func (p *packer) fits(it *item, b *bin) (zones, bool) {
	if b.slots <= 0 || !b.free.holds(it.need) {
		return 0, false
	}
	z := b.zones & it.zone & p.admits(it.shape, b.group)
	if z == 0 {
		return 0, false
	}
	for _, hp := range it.shape.ports {
		if b.ports[hp] {
			return 0, false
		}
	}
	for _, r := range it.shape.repelled {
		if z = r.withoutOwners(p, b, z); z == 0 {
			return 0, false
		}
	}
	podZones := p.admits(it.shape, b.group) // a volume's zone does not change which zones a rule counts
	byZone := false
	for i, r := range it.shape.owned {
		if z = r.allows(p, b, z, podZones, it.shape.selfMatch[i]); z == 0 {
			return 0, false
		}
		byZone = byZone || r.key == corev1.LabelTopologyZone
	}
	if byZone {
		z = p.oneOf(z, it.shape)
	}
	return z, true
}

// oneOf picks the zone of a pod that has rules by zone, since none can count it before its zone is settled: where its spread rules count least,
// any of those where they are equal.
func (p *packer) oneOf(z zones, sh *shape) zones {
	names := p.names(z)
	if len(names) == 1 {
		return z
	}
	least := names[:0]
	low := 0
	for _, n := range names {
		count := 0
		for _, r := range sh.owned {
			if r.kind == spread && r.key == corev1.LabelTopologyZone {
				count += r.matched[n]
			}
		}
		if len(least) == 0 || count < low {
			least, low = append(least[:0], n), count
		} else if count == low {
			least = append(least, n)
		}
	}
	return p.zoneBit[least[p.choose(len(least))]]
}

func (p *packer) commit(it *item, b *bin, z zones) {
	if b.zones != z {
		p.restrict(b, z)
	}
	b.take(it.need, +1)
	b.slots--
	b.pods++
	b.members = append(b.members, it)
	for _, hp := range it.shape.ports {
		if b.ports == nil {
			b.ports = map[hostPort]bool{}
		}
		b.ports[hp] = true
	}
	p.count(it, b, +1)
}

// take takes what a pod needs out of what is free, or gives it back.
func (b *bin) take(need room, by int64) {
	b.free.CPUMilli -= by * need.CPUMilli
	b.free.MemoryBytes -= by * need.MemoryBytes
	for i, v := range need.more {
		b.free.more[i] -= by * v
	}
}

// restrict narrows a bin to some of its zones and counts its pods anew where zones matter: those whose zone was open are in one now,
// and no longer in the others.
func (p *packer) restrict(b *bin, z zones) {
	for _, it := range b.members {
		p.countIn(it, b, corev1.LabelTopologyZone, -1)
	}
	b.zones = z
	for _, it := range b.members {
		p.countIn(it, b, corev1.LabelTopologyZone, +1)
	}
}

// settle decides the zone of every bin that has several left, and tells whether there was one.
func (p *packer) settle() bool {
	any := false
	for _, b := range p.bins {
		if names := p.names(b.zones); len(names) > 1 {
			p.restrict(b, p.zoneBit[names[p.choose(len(names))]])
			any = true
		}
	}
	return any
}

// remove takes every item off a bin.
func (p *packer) remove(b *bin) []*item {
	out := b.members
	for _, it := range out {
		p.count(it, b, -1)
	}
	b.members = nil
	return out
}

// count records where the item stands in every rule that sees it.
func (p *packer) count(it *item, b *bin, by int) { p.countIn(it, b, "", by) }

// countIn does so for the rules of one topology key, of all when it is empty.
func (p *packer) countIn(it *item, b *bin, key string, by int) {
	for _, r := range it.shape.matches {
		if key != "" && r.key != key {
			continue
		}
		for _, d := range p.domains(r, b) {
			r.matched[d] += by
		}
	}
	for _, r := range it.shape.owned {
		if r.kind == antiAffinity && (key == "" || r.key == key) {
			for _, d := range p.domains(r, b) {
				r.owners[d] += by
			}
		}
	}
}

// domains are the values of a rule's topology key that the bin has or may yet have. A spread or affinity rule counts a
// bin only once its zone is settled; anti-affinity must count every zone it may land in.
func (p *packer) domains(r *rule, b *bin) []string {
	switch r.key {
	case corev1.LabelHostname:
		return []string{b.host}
	case corev1.LabelTopologyZone:
		if r.kind != antiAffinity && bits.OnesCount64(uint64(b.zones)) != 1 {
			return nil
		}
		return p.names(b.zones)
	default:
		if v, ok := b.labels[r.key]; ok {
			return []string{v}
		}
		return nil
	}
}

func (p *packer) names(z zones) []string {
	out := make([]string, 0, 1)
	for z != 0 {
		i := bits.TrailingZeros64(uint64(z))
		out = append(out, p.zoneNames[i])
		z &^= 1 << i
	}
	return out
}

func (p *packer) maskOf(names []string) zones {
	var z zones
	for _, n := range names {
		z |= p.zoneBit[n]
	}
	return z
}

// admits is the set of zones in which a node of the group accepts the shape: selector, node affinity and taints.
func (p *packer) admits(sh *shape, group int) zones {
	per := p.allowed[sh]
	if per == nil {
		per = make([]zones, len(p.groups))
		for i, g := range p.groups {
			if !sh.tolerates(g.Taints) {
				continue
			}
			for _, zn := range g.Zones {
				node := g.template(zn)
				if ok, err := sh.required.Match(node); err == nil && ok {
					per[i] |= p.zoneBit[zn]
				}
			}
		}
		p.allowed[sh] = per
	}
	return per[group]
}
