package account

import (
	"strings"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// aPod is what a test says of a running pod of namespace shop.
type aPod struct {
	workload, image, day string
	mode                 terms.Mode
}

func pods(list ...aPod) *State {
	s := &State{}
	for _, x := range list {
		made, err := time.Parse(time.DateOnly, x.day)
		if err != nil {
			panic(err)
		}
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", CreationTimestamp: metav1.NewTime(made)},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: x.image}}}}
		pod := terms.Pod{Object: p, Role: terms.Application, Mode: x.mode, Workload: "shop/" + x.workload}
		if x.mode == terms.ModeSidecar {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "istio-proxy", Image: x.day})
			pod.Sidecar = terms.Classic
		}
		s.Cluster.Pods = append(s.Cluster.Pods, pod)
	}
	s.modes, s.since = namespaceModes(s.Cluster)
	return s
}

// When a namespace changed mode is told by what was enrolled, never by the newest pod; what changed in any other way is no control.
func TestWhenANamespaceChangedMode(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 9, d, 0, 0, 0, 0, time.UTC) }
	web := func(mode terms.Mode, image, day string) aPod { return aPod{"Deployment/web", image, day, mode} }
	cart := func(mode terms.Mode, day string) aPod { return aPod{"Deployment/cart", "cart:1", day, mode} }
	was := []aPod{web(terms.ModeSidecar, "web:1", "2026-08-01"), cart(terms.ModeSidecar, "2026-08-01")}
	for name, c := range map[string]struct {
		before, now []aPod
		without     int // the first hour without sidecars is midnight of this day; 0 for not measured
		given       Enrolments
		from, at    time.Time
		released    bool
		changed     string
	}{
		"the oldest pod of the workload that moved last": {was, []aPod{web(terms.ModeAmbient, "web:1", "2026-09-02"), cart(terms.ModeAmbient, "2026-09-03")}, 0, Enrolments{}, day(1), day(3), false, "2 of its workloads"},
		"a scale-up and a Job later move nothing": {was, []aPod{web(terms.ModeAmbient, "web:1", "2026-09-02"), web(terms.ModeAmbient, "web:1", "2026-09-13"), cart(terms.ModeAmbient, "2026-09-02"),
			{"Job/import-1", "import:1", "2026-09-14", terms.ModeAmbient}}, 0, Enrolments{}, day(1), day(2), false, "2 of its workloads"},
		"a release after the move is one":              {was, []aPod{web(terms.ModeAmbient, "web:2", "2026-09-06"), cart(terms.ModeAmbient, "2026-09-02")}, 0, Enrolments{}, day(1), day(6), true, "2 of its workloads"},
		"where it was measured, the hour counts":       {was, []aPod{web(terms.ModeAmbient, "web:1", "2026-09-12"), cart(terms.ModeAmbient, "2026-09-12")}, 9, Enrolments{}, day(1), day(9), false, "2 of its workloads"},
		"what is stated counts before all":             {was, []aPod{web(terms.ModeAmbient, "web:1", "2026-09-12"), cart(terms.ModeAmbient, "2026-09-12")}, 9, Enrolments{Namespaces: map[string]time.Time{"shop": day(8)}}, day(8), day(8), false, "2 of its workloads"},
		"and may be stated by wave":                    {was, []aPod{web(terms.ModeAmbient, "web:1", "2026-09-12"), cart(terms.ModeAmbient, "2026-09-12")}, 0, Enrolments{Waves: map[string]time.Time{"pilot": day(4), "rest": day(7)}}, day(4), day(7), false, "2 of its workloads"},
		"half of it has moved":                         {was, []aPod{web(terms.ModeAmbient, "web:1", "2026-09-02"), cart(terms.ModeSidecar, "2026-08-01")}, 0, Enrolments{}, time.Time{}, time.Time{}, false, "1 of its workloads"},
		"from ambient to a waypoint":                   {[]aPod{web(terms.ModeAmbient, "web:1", "2026-08-01")}, []aPod{web(terms.ModeWaypoint, "web:1", "2026-08-01")}, 0, Enrolments{}, time.Time{}, time.Time{}, false, "1 of its workloads"},
		"nothing has happened":                         {was, []aPod{web(terms.ModeSidecar, "web:1", "2026-09-02"), cart(terms.ModeSidecar, "2026-08-01")}, 0, Enrolments{}, time.Time{}, time.Time{}, false, ""},
		"another version of the sidecar is no release": {was, []aPod{web(terms.ModeSidecar, "web:1", "2026-09-12"), cart(terms.ModeSidecar, "2026-09-12")}, 0, Enrolments{}, time.Time{}, time.Time{}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := pods(c.before...)
			b := roi.Baseline{At: day(1), Workloads: before.readings(), Edge: []latency.EdgeSeries{{Namespace: "shop", Mode: before.modes["shop"]}},
				Proxied: []roi.Proxied{{Workload: "shop/Deployment/web"}, {Workload: "shop/Deployment/cart"}}}
			s := pods(c.now...)
			plan, err := ReadPlan([]byte("apiVersion: sidestep.dev/v1alpha1\nkind: Plan\nwaves:\n- {name: pilot, steps: [{subject: {kind: Deployment, namespace: shop, name: web}}]}\n- {name: rest, steps: [{subject: {kind: Namespace, name: shop}}]}\n"), "plan")
			if err != nil {
				t.Fatal(err)
			}
			s.plan = plan
			if c.without > 0 {
				s.Dump = metric.Dump{Start: day(1), End: day(15)}
				var nodes, sidecars metric.Series
				sidecars.Labels = map[string]string{"namespace": "shop"}
				for h := day(8); !h.After(day(15)); h = h.Add(time.Hour) {
					nodes.Points = append(nodes.Points, metric.Point{T: h.Unix(), V: 3})
					if h.Before(day(c.without)) {
						sidecars.Points = append(sidecars.Points, metric.Point{T: h.Unix(), V: 2})
					}
				}
				s.Dump.Results = []metric.Result{{Metric: "node_count", Series: []metric.Series{nodes}}, {Metric: "sidecar_pods", Series: []metric.Series{sidecars}}}
			}
			edge := []latency.EdgeSeries{{Namespace: "shop"}}
			s.Enrolled(b, edge, c.given)
			e := edge[0]
			if !e.EnrolledFrom.Equal(c.from) || !e.EnrolledAt.Equal(c.at) || e.VersionChanged != c.released || !strings.HasPrefix(e.Changed, c.changed) || (c.changed == "") != (e.Changed == "") {
				t.Errorf("from %s at %s, released %v, changed %q", e.EnrolledFrom, e.EnrolledAt, e.VersionChanged, e.Changed)
			}
		})
	}
}
