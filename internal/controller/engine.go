package controller

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/duty"
	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// state is the mesh at one moment, audited. It does not change.
type state struct {
	mesh  *mesh.Mesh
	audit *audit.Result
	world func() *authz.World
	lost  []duty.Lost
	// since is when the first change arrived that the state has and the one before had not.
	since time.Time
	// number counts states, from 1.
	number int
}

// engine keeps the state current. It runs on the leader alone: who only stands by watches nothing.
type engine struct {
	cluster *live.Cluster
	quiet   time.Duration
	log     *slog.Logger
	meters  *meters
	// changed is sent to when there is a new state.
	changed chan event.GenericEvent
	current atomic.Pointer[state]
	memory  duty.Memory
}

// Start follows the cluster until ctx ends.
func (e *engine) Start(ctx context.Context) error {
	return live.Follow(ctx, e.cluster, live.FollowOptions{
		Quiet: e.quiet,
		Failed: func(kind snapshot.Kind, err error) {
			e.log.Warn("a kind cannot be watched", "kind", kind.String(), "error", err)
		},
	}, e.take)
}

// take audits what is new.
func (e *engine) take(news live.News) {
	began := time.Now()
	m := mesh.Build(news.Snapshot, mesh.Assume{})
	s := &state{mesh: m, audit: audit.Run(m, audit.Options{Each: onEveryCore}), since: news.Since, number: 1}
	s.world = sync.OnceValue(func() *authz.World { w := mesh.AuthzWorld(m); return &w })
	s.lost, _ = e.memory.Look(m)
	if had := e.current.Load(); had != nil {
		s.number = had.number + 1
	}
	e.current.Store(s)
	took := time.Since(began)
	e.meters.audited(took, news.Snapshot.Len())
	e.log.Debug("audited", "objects", news.Snapshot.Len(), "touched", firstOf(news.Touched), "count", len(news.Touched), "seconds", took.Seconds())
	e.announce()
}

// announce has every Migration looked at.
func (e *engine) announce() {
	select {
	case e.changed <- event.GenericEvent{Object: &v1alpha1.Migration{}}:
	default: // whoever comes to the one before sees this too
	}
}

// firstOf names a few objects for the log.
func firstOf(refs []object.Ref) []string {
	var out []string
	for _, r := range refs[:min(len(refs), 5)] {
		out = append(out, r.String())
	}
	return out
}

// onEveryCore does a piece of work on every core.
func onEveryCore(n int, do func(i int)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wg.Wait()
}
