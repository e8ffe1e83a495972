package audit

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/enrol"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

var (
	meshes = flag.Int("meshes", 24, "how many generated meshes are put into their verdicts' modes")
	seed   = flag.Uint64("seed", 1, "where the generated meshes start")
	single = flag.Int("mesh", -1, "the number of the only generated mesh to look at")
	every  = flag.Int("every", 12, "which share of the scenarios is put into their verdicts' modes: one in so many")
)

// tally counts what meshes of the promise hold, so that a generator that reaches nothing is seen, and what verdicts rest on.
type tally struct {
	sync.Mutex
	meshes    int
	verdicts  map[Verdict]int
	told      map[string]int // differences by the code that tells them
	rulesOnly map[string]int // verdicts above ambient that rest on rules alone, by code
	together  int            // verdicts above ambient whose difference shows only while others have a cheaper mode as well
	model     int            // verdicts above ambient for which the next cheaper mode shows a difference
}

// TestPromise: everybody in their verdict's mode, with what the way out and first ask for, and no call is decided otherwise that is
// not told where it happens; and for whoever needs more than ztunnel, either the next cheaper mode shows a difference or a rule is named.
func TestPromise(t *testing.T) {
	sum := &tally{verdicts: map[Verdict]int{}, told: map[string]int{}, rulesOnly: map[string]int{}}
	type subject struct {
		name string
		mesh func() (*mesh.Mesh, string)
	}
	var all []subject
	for i, s := range scenarios(t) {
		if *single < 0 && i%*every == 0 {
			all = append(all, subject{s.name, func() (*mesh.Mesh, string) { return s.mesh(t), "" }})
		}
	}
	for i := range *meshes {
		if *single < 0 || *single == i {
			all = append(all, subject{fmt.Sprintf("mesh %d of seed %d", i, *seed), func() (*mesh.Mesh, string) {
				text := wide(rand.New(rand.NewPCG(*seed, uint64(i))))
				return mesh.Build(meshtest.Load(t, text), mesh.Assume{}), text
			}})
		}
	}
	shards := runtime.GOMAXPROCS(0)
	t.Run("all", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for i := shard; i < len(all); i += shards {
					m, text := all[i].mesh()
					for _, broken := range promised(m, sum) {
						t.Errorf("%s: %s\n%s", all[i].name, broken, text)
					}
				}
			})
		}
	})
	above := 0
	for _, n := range sum.rulesOnly {
		above += n
	}
	above += sum.together + sum.model
	t.Logf("%d meshes, verdicts %v, told %v; above ambient %d: the model shows a difference for %d, for %d only together with others, %d rest on rules alone %v",
		sum.meshes, sum.verdicts, sum.told, above, sum.model, sum.together, above-sum.together-sum.model, sum.rulesOnly)
	if sum.meshes >= 1000 && sum.together*200 > above {
		t.Errorf("%d of %d verdicts would be cheaper if they were raised one after the other", sum.together, above)
	}
	if *single < 0 {
		for _, v := range []Verdict{VerdictAmbient, VerdictWaypoint, VerdictSidecar} {
			if sum.verdicts[v] == 0 {
				t.Errorf("no verdict is %s", v)
			}
		}
	}
}

// wide is a mesh at random as manifests: those that plans are proved on, and what only an audit meets.
func wide(r *rand.Rand) string {
	lines, objects := meshtest.Generate(r)
	one := func(in int) bool { return r.IntN(in) == 0 }
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	who := func() string { return pick("a", "b", "c") }
	proxy := func(name, value string) string {
		return ` @proxy.istio.io/config={"proxyMetadata":{"` + name + `":"` + value + `"}}`
	}
	add := func(format string, args ...any) { objects = append(objects, fmt.Sprintf(format, args...)) }
	if one(3) {
		lines += "Deployment cli/deaf 8080" + proxy("ISTIO_META_ENABLE_HBONE", "false") + "\nservice cli/deaf 80:8080\n"
	}
	if one(5) {
		lines += "Deployment cli/mute 8080" + proxy("ISTIO_META_DISABLE_HBONE_SEND", "true") + "\n"
	}
	if one(5) {
		add("apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm, namespace: app, labels: {app: %s%s}}\nspec: {address: 10.9.9.9, serviceAccount: vm}\n", pick("vm", "vm", "a"), pick("", ", networking.istio.io/tunnel: http"))
	}
	if one(4) {
		add("apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: lua, namespace: app}\nspec: {workloadSelector: {labels: {app: %s}}, configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND}, patch: {operation: INSERT_BEFORE, value: {name: lua}}}]}\n", who())
	}
	if one(5) {
		add("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: empty, namespace: %s}\nspec: {selector: {}, action: %s, rules: [{from: [{source: {namespaces: [cli]}}]}]}\n", pick("app", "istio-system"), pick("DENY", "ALLOW"))
	}
	if one(4) {
		add("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: some, namespace: app}\nspec: {%s%s}\n",
			pick("", "mtls: {mode: STRICT}, ", "mtls: {mode: DISABLE}, ", "mtls: {mode: PERMISSIVE}, "), pick("", "selector: {}", "selector: {matchLabels: {app: "+who()+"}}, portLevelMtls: {8080: {mode: "+pick("STRICT", "DISABLE", "PERMISSIVE")+"}}"))
	}
	if one(6) {
		add("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: other, namespace: app}\nspec: {gatewayClassName: %s, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\n---\n"+
			"apiVersion: v1\nkind: Service\nmetadata: {name: second, namespace: app, labels: {istio.io/use-waypoint: other}}\nspec: {clusterIP: 10.97.0.1, selector: {app: %s}, ports: [{name: http, port: 80, targetPort: 8080}]}\n", pick(mesh.ClassWaypoint, mesh.ClassAgentWaypoint, "example"), who())
	}
	if one(6) { // half of the pods were made before ambient mode was installed
		for i, tunnel := range []string{"", ", networking.istio.io/tunnel: http"} {
			add("apiVersion: v1\nkind: Pod\nmetadata: {name: a-7c9f4-%d, namespace: app, labels: {app: a, pod-template-hash: 7c9f4, security.istio.io/tlsMode: istio%s}, annotations: {sidecar.istio.io/status: '{}'}, "+
				"ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: a-7c9f4, uid: '1', controller: true}]}\nspec: {serviceAccountName: a, containers: [{name: app, image: a}, {name: istio-proxy, image: p, args: [proxy, sidecar]}]}\n", i, tunnel)
		}
	}
	text, err := meshtest.Text(lines)
	if err != nil {
		panic(err)
	}
	return strings.Join(append([]string{text}, objects...), "---\n")
}

// promised says what of the promise a mesh breaks.
func promised(m *mesh.Mesh, sum *tally) []string {
	r := Run(m, Options{})
	verdicts := map[mesh.Ref]Verdict{}
	results := map[mesh.Ref]*WorkloadResult{}
	for i := range r.Workloads {
		w := &r.Workloads[i]
		verdicts[w.Workload.Ref], results[w.Workload.Ref] = w.Verdict, w
	}
	sum.Lock()
	defer sum.Unlock()
	sum.meshes++
	for _, w := range r.Workloads {
		if w.Workload.Mode == mesh.Sidecar {
			sum.verdicts[w.Verdict]++
		}
	}
	before := mesh.AuthzWorld(readied(m))
	prover := authz.NewProver(&before)
	to := targets(m, verdicts)
	var broken []string
	if to != nil {
		end, after, err := supposed(m, to)
		if err != nil {
			return []string{err.Error()}
		}
		for ref, target := range to {
			if err := enrol.Arrived(after, ref, target.Mode()); err != nil {
				broken = append(broken, err.Error())
			}
		}
		world := mesh.AuthzWorld(after)
		compared := prover.Compare(&world, authz.Options{})
		for _, o := range compared.Omitted {
			if decides(m) && !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == notCompared.Code && strings.Contains(f.Message, o) }) {
				broken = append(broken, "left out and not told: "+o)
			}
		}
		for i := range compared.Divergences {
			d := &compared.Divergences[i]
			if d.Kind == authz.Authenticated {
				continue
			}
			w := results[destinationOf(d)]
			if w == nil && d.Kind == authz.Stricter && d.After.By == authz.PointGateway && identityAppears(d) {
				sum.told["stricter at a gateway's pods"]++ // docs/semantics.md: calls to gateways are not promised
				continue
			}
			if w == nil {
				broken = append(broken, fmt.Sprintf("%s at %s, which is no application: %s: %s", d.Kind, destinationOf(d), differenceText(d), d.After.Why))
				continue
			}
			if code := told(end, w, d); code != "" {
				sum.told[string(d.Kind)+" "+code]++
			} else {
				broken = append(broken, fmt.Sprintf("%s and not told: %s (verdict %s, %v, first %v)", d.Kind, differenceText(d), w.Verdict, codes(w.Findings), w.First))
			}
		}
	}
	return append(broken, minimal(m, r, verdicts, prover, sum)...)
}

// identityAppears reports whether the point that decides sees now who calls, and did not.
func identityAppears(d *authz.Divergence) bool {
	return len(d.Before.Hops) > 0 && len(d.After.Hops) > 0 && d.Before.Hops[len(d.Before.Hops)-1].Principal == "" && d.After.Hops[len(d.After.Hops)-1].Principal != ""
}

// supposed is the state that workloads go to.
func supposed(m *mesh.Mesh, to map[mesh.Ref]enrol.Target) (enrol.State, *mesh.Mesh, error) {
	end, err := enrol.End(m, to, true)
	if err != nil {
		return end, nil, err
	}
	end.Assume.Ready = append(end.Assume.Ready, m.ReadyWaypoints()...)
	after, err := end.Build(m)
	return end, after, err
}

// told returns the code under which a workload's result tells a difference, empty where it does not.
func told(end enrol.State, w *WorkloadResult, d *authz.Divergence) string {
	first := func(code, text string) bool {
		return slices.ContainsFunc(w.First, func(s Step) bool { return s.Code == code && strings.Contains(s.Message, text) })
	}
	has := func(code string) bool {
		return slices.ContainsFunc(w.Findings, func(f Finding) bool { return f.Code == code })
	}
	waypoint := slices.ContainsFunc(d.After.Hops, func(h authz.Hop) bool { return h.Point == authz.PointWaypoint })
	stays := w.Workload.Mode != mesh.Sidecar || w.Verdict == VerdictSidecar
	if stays {
		if has(callsDiffer.Code) {
			return callsDiffer.Code
		}
		// Who went round the waypoint passes it now, and meets the policy that the finding names.
		meets := d.After.By == authz.PointWaypoint && slices.ContainsFunc(w.Findings, func(f Finding) bool {
			return f.Code == waypointBypass.Code && strings.Contains(f.Message, d.After.Policy)
		})
		if waypoint && (d.Kind == authz.Weaker && has(waypointBypass.Code) || meets) {
			return waypointBypass.Code
		}
		if waypoint && has(waypointInUse.Code) {
			return waypointInUse.Code
		}
		if d.Kind == authz.Weaker {
			return ""
		}
	}
	if d.Kind == authz.Weaker {
		if has(sidecarThroughHBONE.Code) && d.After.By == authz.PointZtunnel {
			return sidecarThroughHBONE.Code
		}
		return ""
	}
	switch {
	case !waypoint && end.Guarded(*d) && first(waypointBypass.Code, ""):
		return waypointBypass.Code
	case waypoint && first(onlyAtWaypoint.Code, d.After.Policy):
		return onlyAtWaypoint.Code
	case first(noHBONE.Code, d.After.Policy):
		return noHBONE.Code
	case !waypoint && first(callsDiffer.Code, d.After.Policy):
		return "first " + callsDiffer.Code
	}
	return ""
}

// minimal says which verdicts are costlier than they have to be: nothing differs in the next cheaper mode, and no rule asks for it.
func minimal(m *mesh.Mesh, r *Result, verdicts map[mesh.Ref]Verdict, prover *authz.Prover, sum *tally) []string {
	var broken []string
	for _, w := range r.Workloads {
		if w.Workload.Mode != mesh.Sidecar || w.Verdict != VerdictWaypoint && w.Verdict != VerdictSidecar {
			continue
		}
		cheaper := maps.Clone(verdicts)
		cheaper[w.Workload.Ref] = VerdictAmbient
		if w.Verdict == VerdictSidecar {
			cheaper[w.Workload.Ref] = VerdictWaypoint
		}
		shows := false
		if end, after, err := supposed(m, targets(m, cheaper)); err == nil && decides(m) {
			s := newShown()
			shows = slices.ContainsFunc(s.compare(m, prover, Options{}, end, after, cheaper), func(d authz.Divergence) bool { return destinationOf(&d) == w.Workload.Ref })
		}
		by := ""
		for _, f := range w.Findings {
			if f.Requires == w.Verdict && f.Code != callsDiffer.Code && (by == "" || f.Code < by) {
				by = f.Code
			}
		}
		switch {
		case shows:
			sum.model++
		case by != "":
			sum.rulesOnly[by]++
		case slices.ContainsFunc(w.Findings, func(f Finding) bool { return f.Code == callsDiffer.Code && f.Requires == w.Verdict }):
			// Raised together with others: with those in their verdict's mode, it alone would not differ any more.
			sum.together++
		default:
			broken = append(broken, fmt.Sprintf("%s is %s, though nothing differs when it is %s and no rule asks for it: %v", w.Workload.Ref, w.Verdict, cheaper[w.Workload.Ref], w.Findings))
		}
	}
	return broken
}
