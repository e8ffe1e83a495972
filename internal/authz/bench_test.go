package authz

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	securityapi "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

// bigMesh makes n services of one workload each in n/20 namespaces, and n policies: most
// L4 by principal, some with methods and paths, a namespace-wide one here and there, a
// mesh-wide deny. It returns the state before a migration, all sidecars, and one halfway
// through it: half of the namespaces ambient, half of those with a waypoint and
// translated policies.
func bigMesh(n int) (before, after World) {
	perNS := 20
	before.Config.ExtensionProviders = []ExtensionProvider{}
	add := func(w *World, p *securityv1.AuthorizationPolicy) {
		c, _ := CompileAuthorizationPolicy(p)
		w.Policies.Authorization = append(w.Policies.Authorization, c)
	}
	for i := 0; i < n; i++ {
		ns, name := fmt.Sprintf("ns%d", i/perNS), fmt.Sprintf("svc%d", i)
		ref := Ref{Kind: "Deployment", Namespace: ns, Name: name}
		before.Workloads = append(before.Workloads, Workload{Ref: ref, Labels: map[string]string{"app": name, "tier": "backend"},
			ServiceAccount: name, Mode: ModeSidecar, HBONE: true, Role: RoleApplication})
		before.Services = append(before.Services, Service{Namespace: ns, Name: name, Workloads: []Pods{{Ref: ref}},
			Ports: []ServicePort{{Port: 80, TargetPort: 8080, Protocol: ProtocolHTTP}},
			VIPs:  []netip.Addr{netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)})}})
		caller := func(k int) string {
			j := (i*7 + k*13 + 1) % n
			return fmt.Sprintf("cluster.local/ns/ns%d/sa/svc%d", j/perNS, j)
		}
		p := &securityv1.AuthorizationPolicy{}
		p.Name, p.Namespace = "p-"+name, ns
		p.Spec.Selector = &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": name}}
		rule := &securityapi.Rule{From: []*securityapi.Rule_From{{Source: &securityapi.Source{Principals: []string{caller(0), caller(1), caller(2)}}}}}
		switch i % 5 {
		case 1:
			rule.To = []*securityapi.Rule_To{{Operation: &securityapi.Operation{Methods: []string{"GET"}, Paths: []string{"/api/" + name + "/*", "/health"}}}}
		case 2:
			p.Spec.Action = securityapi.AuthorizationPolicy_DENY
			rule = &securityapi.Rule{To: []*securityapi.Rule_To{{Operation: &securityapi.Operation{Paths: []string{"/admin*"}}}}}
		case 3:
			rule.From = []*securityapi.Rule_From{{Source: &securityapi.Source{Namespaces: []string{ns}}}}
			if i%20 == 3 {
				p.Spec.Selector = nil
			}
		}
		p.Spec.Rules = []*securityapi.Rule{rule}
		add(&before, p)
	}
	strict := PeerAuthentication{Namespace: "istio-system", Name: "default", Mode: MTLSStrict, Created: time.Unix(1, 0)}
	before.Policies.Peer = []PeerAuthentication{strict}

	after = before
	after.Workloads = append([]Workload(nil), before.Workloads...)
	after.Services = append([]Service(nil), before.Services...)
	after.Policies.Authorization = append([]AuthorizationPolicy(nil), before.Policies.Authorization...)
	for i := range after.Workloads {
		group := i / perNS
		if group%2 == 0 {
			after.Workloads[i].Mode = ModeAmbient
		}
		if group%4 == 0 {
			ns := after.Workloads[i].Ref.Namespace
			after.Services[i].Waypoint = Binding{Namespace: ns, Name: "waypoint"}
			if i%perNS == 0 {
				after.Waypoints = append(after.Waypoints, Waypoint{Namespace: ns, Name: "waypoint", Programmed: true, Ready: true})
			}
			q := before.Policies.Authorization[i]
			q.Name += "-waypoint"
			q.Attach = Attachment{Targets: []Target{{Kind: kindService, Name: after.Services[i].Name}}}
			q.digest = ""
			q.digest = digestOf(q.Name + before.Policies.Authorization[i].digest)
			after.Policies.Authorization = append(after.Policies.Authorization, q)
		}
	}
	return before, after
}

// peakHeap runs f and reports the most heap in use while it ran, in bytes.
func peakHeap(f func()) uint64 {
	runtime.GC()
	var peak atomic.Uint64
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		var ms runtime.MemStats
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			runtime.ReadMemStats(&ms)
			if ms.HeapInuse > peak.Load() {
				peak.Store(ms.HeapInuse)
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	f()
	close(done)
	wg.Wait()
	return peak.Load()
}

// BenchmarkDiff is the whole-mesh comparison in one goroutine; the curve over the size
// of the mesh is in the sub-benchmarks.
func BenchmarkDiff(b *testing.B) {
	for _, n := range []int{100, 400, 1000, 2000, 4000} {
		before, after := bigMesh(n)
		b.Run(fmt.Sprintf("halfway/%d", n), func(b *testing.B) { benchmarkDiff(b, &before, &after, 1) })
	}
	for _, n := range []int{400, 4000} {
		before, after := bigMesh(n)
		b.Run(fmt.Sprintf("shards/%d", n), func(b *testing.B) { benchmarkDiff(b, &before, &after, 2) })
		same := before
		b.Run(fmt.Sprintf("unchanged/%d", n), func(b *testing.B) { benchmarkDiff(b, &before, &same, 1) })
	}
}

func benchmarkDiff(b *testing.B, before, after *World, shards int) {
	b.ReportAllocs()
	var res Result
	var peak uint64
	for b.Loop() {
		peak = max(peak, peakHeap(func() { res = inShards(before, after, shards) }))
	}
	b.ReportMetric(float64(peak)/(1<<20), "MiB-peak")
	b.ReportMetric(float64(res.Stats.Scenarios), "scenarios")
	b.ReportMetric(float64(len(res.Divergences)), "divergences")
}

func inShards(before, after *World, shards int) Result {
	parts := make([]Result, shards)
	run := NewProver(before).Parts(after, Options{}, shards)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Add(1)
		go func() {
			defer wg.Done()
			parts[i] = run[i]()
		}()
	}
	wg.Wait()
	return Merge(Options{}, parts...)
}
