package generate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// Priors, where nothing was measured. Istio's performance page has 0.25 vCPU for a waypoint at 1,000 requests a second of 1 KB (1.24); the draft of the
// next one 0.41. The dearer is taken: too large a waypoint costs little, too small a one stops its services.
const (
	priorCoresPerRequest = 0.41 / 1000
	priorPayload         = 1024.0
	// coresPerByte is what moving and encrypting a byte beyond those costs: 1 core for 4 Gbit/s, a cautious figure for TLS and two copies in Envoy.
	coresPerByte = 1.0 / (4e9 / 8)
)

// Requests and limits of istiod's waypoint template, unless its values say otherwise.
const (
	waypointRequest = 0.1
	waypointLimit   = 2.0
)

// sizedRequest is what a pod requests in what is offered here: with the template's 100 millicores a target of 80% means 80 millicores, and an
// autoscaler would make dozens of pods of which each has nineteen twentieths of its limit to spare.
const sizedRequest = 0.5

// Capacity is what one waypoint needs.
type Capacity struct {
	// Gateway is the waypoint. Exists says that it is there; otherwise a plan would make it.
	Gateway mesh.Ref
	Exists  bool
	// Services are those whose load was added up, and Unmeasured those without a series.
	Services, Unmeasured []string
	// Peak and Quiet are the highest and the 5th percentile of requests per second; Payload is bytes of a request with its response.
	Peak, Quiet, Payload float64
	// CorePerRequest is core seconds, Measured whether this mesh's own waypoints say so.
	CorePerRequest float64
	Measured       bool
	Scaling        scaling
	Outcome        outcome
	// Default is what a HorizontalPodAutoscaler with Kubernetes' defaults on the template's requests would have done.
	Default outcome
	// Span is how long the load was recorded.
	Span time.Duration
}

// Capacities sizes every waypoint that is there or that verdicts ask for, from recorded load. Waypoints without any measured load come last.
func Capacities(m *mesh.Mesh, verdicts *audit.Result, d metric.Dump) ([]Capacity, error) {
	loads := d.Result("service_requests")
	if !loads.Usable() {
		return nil, fmt.Errorf("nothing to size waypoints from: %s", loads.Why())
	}
	series := map[[2]string][]metric.Point{}
	for _, s := range loads.Series {
		series[[2]string{s.Labels["destination_service_namespace"], s.Labels["destination_service_name"]}] = s.Points
	}
	payload := valuesOf(d.Result("service_payload"), "destination_service_namespace", "destination_service_name")
	measured := valuesOf(d.Result("waypoint_cores_per_request"), "namespace")
	var out []Capacity
	for gateway, services := range waypointServices(m, verdicts) {
		c := Capacity{Gateway: gateway, Exists: m.Waypoint(gateway) != nil}
		c.size(services, series, payload, measured)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Capacity) int {
		return cmp.Or(cmp.Compare(b.Peak, a.Peak), cmp.Compare(a.Gateway.Namespace, b.Gateway.Namespace), cmp.Compare(a.Gateway.Name, b.Gateway.Name))
	})
	return out, nil
}

func valuesOf(r metric.Result, labels ...string) map[[2]string]float64 {
	out := map[[2]string]float64{}
	if !r.Usable() {
		return out
	}
	for _, s := range r.Series {
		key := [2]string{s.Labels[labels[0]]}
		if len(labels) > 1 {
			key[1] = s.Labels[labels[1]]
		}
		if v, ok := s.Last(); ok {
			out[key] = v
		}
	}
	return out
}

// waypointServices are the services of each waypoint: those that are bound, and those of workloads whose verdict is a waypoint, at the one that a plan
// would make in their namespace.
func waypointServices(m *mesh.Mesh, verdicts *audit.Result) map[mesh.Ref][][2]string {
	needs := map[*mesh.Workload]bool{}
	for i := range verdicts.Workloads {
		if verdicts.Workloads[i].Verdict == audit.VerdictWaypoint {
			needs[verdicts.Workloads[i].Workload] = true
		}
	}
	out := map[mesh.Ref][][2]string{}
	for _, s := range m.Services {
		var gateway mesh.Ref
		switch {
		case s.Waypoint.Bound:
			gateway = s.Waypoint.Gateway
		case slices.ContainsFunc(s.Workloads, func(w *mesh.Workload) bool { return needs[w] }):
			gateway = mesh.Ref{Group: "gateway.networking.k8s.io", Kind: "Gateway", Namespace: s.Namespace, Name: "waypoint"}
		default:
			continue
		}
		out[gateway] = append(out[gateway], [2]string{s.Namespace, s.Name})
	}
	return out
}

// size adds the loads of services up and tries ways to scale.
func (c *Capacity) size(services [][2]string, series map[[2]string][]metric.Point, payload, measured map[[2]string]float64) {
	c.CorePerRequest, c.Payload = priorCoresPerRequest, priorPayload
	if v := measured[[2]string{c.Gateway.Namespace}]; v > 0 {
		c.CorePerRequest, c.Measured = v, true
	}
	sum := map[int64]float64{}
	bytes, requests := 0.0, 0.0
	for _, s := range services {
		points := series[s]
		if len(points) == 0 {
			c.Unmeasured = append(c.Unmeasured, s[0]+"/"+s[1])
			continue
		}
		c.Services = append(c.Services, s[0]+"/"+s[1])
		for _, p := range points {
			sum[p.T] += p.V
			requests += p.V
			bytes += p.V * cmp.Or(payload[s], priorPayload)
		}
	}
	if len(sum) < 2 || requests == 0 {
		return
	}
	c.Payload = bytes / requests
	if !c.Measured { // what was measured has its payloads in it
		c.CorePerRequest += math.Max(0, c.Payload-priorPayload) * coresPerByte
	}
	times := make([]int64, 0, len(sum))
	for t := range sum {
		times = append(times, t)
	}
	slices.Sort(times)
	rates, cores := []float64{}, []float64{}
	step := times[1] - times[0]
	for _, t := range times[1:] {
		step = min(step, t-times[len(rates)])
		rates = append(rates, sum[t])
	}
	for t := times[0]; t <= times[len(times)-1]; t += step { // a gap is a time without requests
		cores = append(cores, sum[t]*c.CorePerRequest)
	}
	slices.Sort(rates)
	c.Peak, c.Quiet = rates[len(rates)-1], rates[len(rates)/20]
	c.Span = time.Duration(times[len(times)-1]-times[0]) * time.Second
	c.choose(cores, int(step))
}

// choose simulates ways to scale on the recorded load and keeps the best. Room is left for half as much again as the peak.
func (c *Capacity) choose(cores []float64, step int) {
	peak := slices.Max(cores)
	most := max(3, int(math.Ceil(1.5*peak/(sizedRequest*0.7))))
	for _, target := range []float64{0.6, 0.7, 0.8} {
		for _, window := range []int{300, 600, 1800} {
			for _, least := range []int{2, 3, 2 + int(peak/sizedRequest/2)} {
				s := scaling{least: min(least, most), most: most, target: target, window: window}
				if o := simulate(cores, step, sizedRequest, waypointLimit, s); c.Scaling.most == 0 || o.better(c.Outcome) {
					c.Scaling, c.Outcome = s, o
				}
			}
		}
	}
	c.Default = simulate(cores, step, waypointRequest, waypointLimit, scaling{least: 1, most: max(10, most), target: 0.8, window: 300})
}

// spell writes seconds for people.
func spell(seconds int) string { return (time.Duration(seconds) * time.Second).String() }

// CapacityText says for each waypoint what was measured, what is offered and what it would have done.
func CapacityText(list []Capacity) string {
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "%s/%s", c.Gateway.Namespace, c.Gateway.Name)
		if !c.Exists {
			b.WriteString("  (a plan would make it)")
		}
		b.WriteString("\n")
		if len(c.Services) == 0 || c.Scaling.most == 0 {
			fmt.Fprintf(&b, "  load      not measured: none of its %d services has HTTP series that are not zero. Two pods and a budget are the least that outlives a node.\n\n", len(c.Services)+len(c.Unmeasured))
			continue
		}
		source := fmt.Sprintf("prior: Istio's 0.41 vCPU per 1,000 requests of 1 KB, %.0f bytes here", c.Payload)
		if c.Measured {
			source = "measured at the namespace's waypoints over a day"
		}
		fmt.Fprintf(&b, "  load      %.0f requests/s at most, %.1f in quiet hours, of %d services over %s\n", c.Peak, c.Quiet, len(c.Services), c.Span.Round(time.Hour))
		if len(c.Unmeasured) > 0 {
			fmt.Fprintf(&b, "  left out  %d services without HTTP series, such as %s\n", len(c.Unmeasured), c.Unmeasured[0])
		}
		fmt.Fprintf(&b, "  cost      %.2f core seconds for 1,000 requests (%s)\n", c.CorePerRequest*1000, source)
		fmt.Fprintf(&b, "  offered   %d to %d pods of %.1f cores requested, CPU at %.0f%% of it, going down after %s\n", c.Scaling.least, c.Scaling.most, sizedRequest, c.Scaling.target*100, spell(c.Scaling.window))
		fmt.Fprintf(&b, "  on this load   %d up, %d down, short of CPU for %s, %.0f pod hours, %d pods at most\n", c.Outcome.ups, c.Outcome.downs, spell(c.Outcome.saturated), c.Outcome.podHours, c.Outcome.peakPods)
		fmt.Fprintf(&b, "  with defaults  %d up, %d down, short of CPU for %s, %.0f pod hours, %d pods at most\n\n", c.Default.ups, c.Default.downs, spell(c.Default.saturated), c.Default.podHours, c.Default.peakPods)
	}
	b.WriteString("A simulation shares requests evenly; ztunnel keeps its connections, so new pods take their share only as connections are made anew (doctor check waypoint-balanced).\n")
	return b.String()
}
