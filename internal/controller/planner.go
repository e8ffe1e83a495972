package controller

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/duty"
	"github.com/sidestep-mesh/sidestep/internal/migrate"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/report"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// planned is the plan of one Migration for one state of the mesh.
type planned struct {
	numbers *duty.Planned
	plan    *migrate.Plan
	text    string
	// state and spec are what it was made for.
	state int
	spec  v1alpha1.MigrationSpec
}

// planner keeps the plans of Migrations that ask for one. Planning takes longer than an audit, so it runs beside the Reconciles and
// skips states that are overtaken.
type planner struct {
	engine    *engine
	client    client.Client // writes
	reader    client.Reader // reads the API server itself: no ConfigMap is cached
	namespace string
	log       *slog.Logger
	wake      chan struct{}

	mu     sync.Mutex
	wanted map[string]v1alpha1.MigrationSpec
	plans  map[string]*planned
}

// leastBetweenPlans is how long the planner rests, so that a rollout of many pods is not planned for anew with each.
const leastBetweenPlans = 3 * time.Second

// want asks for a plan, or with false for none, and returns the one there is.
func (p *planner) want(mig *v1alpha1.Migration, wanted bool) *planned {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !wanted {
		delete(p.wanted, mig.Name)
		delete(p.plans, mig.Name)
		return nil
	}
	p.wanted[mig.Name] = *mig.Spec.DeepCopy()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return p.plans[mig.Name]
}

// forget drops a Migration that is gone.
func (p *planner) forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.wanted, name)
	delete(p.plans, name)
}

// Start plans until ctx ends.
func (p *planner) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
		began := time.Now()
		if p.round(ctx) {
			p.engine.announce()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(leastBetweenPlans, 4*time.Since(began))):
		}
	}
}

// round makes the plans that are missing or old, and reports whether any says something else than before.
func (p *planner) round(ctx context.Context) bool {
	s := p.engine.current.Load()
	if s == nil {
		return false
	}
	p.mu.Lock()
	wanted := maps.Clone(p.wanted)
	p.mu.Unlock()
	news := false
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		spec := wanted[name]
		p.mu.Lock()
		had := p.plans[name]
		p.mu.Unlock()
		if had != nil && had.state == s.number && equality.Semantic.DeepEqual(had.spec, spec) {
			continue
		}
		next := makePlan(s, spec)
		if next.numbers.Failed == "" && (had == nil || had.numbers.Hash != next.numbers.Hash) {
			p.keep(ctx, name, next)
		} else if had != nil {
			next.numbers.ConfigMap = had.numbers.ConfigMap
		}
		p.mu.Lock()
		if _, still := p.wanted[name]; still {
			p.plans[name] = next
		}
		p.mu.Unlock()
		news = news || had == nil || !equality.Semantic.DeepEqual(had.numbers, next.numbers)
	}
	return news
}

// makePlan plans the move of what a spec means.
func makePlan(s *state, spec v1alpha1.MigrationSpec) *planned {
	out := &planned{state: s.number, spec: spec, numbers: &duty.Planned{}}
	scope, err := duty.ScopeOf(&spec.Scope, s.mesh)
	if err != nil {
		out.numbers.Failed = err.Error()
		return out
	}
	o := plan.Options{
		Only: func(ns string) bool { return scope[ns] }, Canary: spec.Strategy.Canary, Each: onEveryCore,
		MaxNamespaces: int(spec.Strategy.MaxNamespaces), MaxPods: int(spec.Strategy.MaxPods),
	}
	for _, a := range spec.Accept {
		o.Accept = append(o.Accept, plan.Acceptance{Code: a.Code, Namespace: a.Namespace, Name: a.Name, Why: a.Why, Who: a.By})
	}
	built, err := plan.Build(s.mesh.Snapshot, o)
	if err == nil {
		out.plan, err = migrate.Of(built)
	}
	if err != nil {
		out.numbers.Failed = err.Error()
		return out
	}
	out.numbers.Hash, out.numbers.Stays = out.plan.ID, len(built.Stays)
	for _, w := range built.Waves {
		for _, step := range w.Steps {
			if step.Kind == plan.KindMove {
				out.numbers.Moves++
			}
		}
		out.numbers.Waves = append(out.numbers.Waves, duty.Wave{Name: w.Name, Purpose: w.Purpose, Steps: len(w.Steps), Weaker: len(built.Accepted) > 0})
	}
	var text strings.Builder
	if r, err := report.NewPlan(built); err == nil && r.Text(&text, report.TextOptions{Wide: true}) == nil {
		out.text = text.String()
	}
	return out
}

// keep writes a plan down for people. It is no part of carrying it out: where it cannot be written the log says so.
func (p *planner) keep(ctx context.Context, name string, next *planned) {
	const most = 900 << 10 // an object may have about a MiB
	text := next.text
	if len(text) > most {
		text = text[:most] + "\n... and so on: sidestep plan --wide\n"
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "sidestep-plan-" + name}}
	data := map[string]string{"plan.txt": text, "hash": next.numbers.Hash}
	err := p.reader.Get(ctx, types.NamespacedName{Namespace: cm.Namespace, Name: cm.Name}, cm)
	switch {
	case apierrors.IsNotFound(err):
		cm.Labels, cm.Data = map[string]string{"app.kubernetes.io/part-of": "sidestep"}, data
		err = p.client.Create(ctx, cm)
	case err == nil && !maps.Equal(cm.Data, data):
		cm.Data = data
		err = p.client.Update(ctx, cm)
	}
	if err != nil {
		p.log.Error("write the plan down", "migration", name, "error", err)
		return
	}
	next.numbers.ConfigMap = cm.Namespace + "/" + cm.Name
}
