package live

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"k8s.io/client-go/rest"
)

// FollowOptions change how Follow works. The zero value follows every kind that a verdict depends on, in the whole cluster.
type FollowOptions struct {
	// Quiet is how long nothing may happen before what happened is passed on; 100ms when 0. Most bounds that wait; a second when 0.
	Quiet, Most time.Duration
	// Failed is told of watches that fail, once until they work again; from several goroutines at once.
	Failed func(kind snapshot.Kind, err error)
}

// News is what changed since the last call.
type News struct {
	// Snapshot is the state now.
	Snapshot *snapshot.Snapshot
	// Touched names the objects that were written or removed; every object is new in the first call, where it is nil.
	Touched []object.Ref
	// Since is when the first of these changes arrived.
	Since time.Time
}

// Follow keeps a snapshot current from watches: it lists each kind once and hears of changes afterwards. Changed is called with the
// first snapshot once every kind was read or has failed to be, and then, never twice at once, whenever something changed that
// a snapshot shows. A kind that may not be read is Hidden in the snapshot until it may. It returns when ctx ends, or at once with an
// error when nothing can be said: the cluster is out of reach or refuses the credentials.
func Follow(ctx context.Context, cluster *Cluster, opts FollowOptions, changed func(News)) error {
	opts.Quiet = cmp.Or(opts.Quiet, 100*time.Millisecond)
	opts.Most = cmp.Or(opts.Most, time.Second)
	cfg := rest.CopyConfig(cluster.Config)
	cfg.QPS, cfg.Burst = -1, 0 // one watch a kind; API priority and fairness bounds the server's side
	cfg.DisableCompression = cfg.DisableCompression || onThisMachine(cfg.Host)
	f := &follower{cluster: cluster, opts: opts, tables: map[snapshot.Kind]*followed{}, wake: make(chan struct{}, 1), reread: make(chan struct{}, 1)}
	var err error
	if f.client, err = newWatcher(cfg); err != nil {
		return fmt.Errorf("cluster %s: %w", cluster.Name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() { cancel(); f.running.Wait() }()
	if err := f.discover(ctx); err != nil {
		return cluster.describe("discover the API", err)
	}
	f.running.Go(func() { f.client.watchDefinitions(ctx, func() { signal(f.reread) }) })
	return f.loop(ctx, changed)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is due already
	}
}

// follower gathers what watches bring. Its tables are written by one goroutine each and read by loop.
type follower struct {
	cluster *Cluster
	opts    FollowOptions
	client  *watcher
	running sync.WaitGroup
	// wake says that something changed, reread that kinds may have been installed or removed.
	wake, reread chan struct{}

	mu     sync.Mutex
	tables map[snapshot.Kind]*followed
	since  time.Time // when the first change that was not passed on arrived; zero without one
}

// followed is what is known of one kind.
type followed struct {
	info    snapshot.KindInfo
	version string
	stop    context.CancelFunc // nil where the kind is not watched
	// known says why the kind's objects are not all known; nil when they are. Ready says that this is settled.
	known *snapshot.Knowledge
	ready bool
	items map[[2]string]manifest.Item // by namespace and name
	dirty map[[2]string]bool
	// denied says that the kind may be listed and not watched: what is listed grows old.
	denied bool
	// marked says that known changed.
	marked bool
}

// discover starts watches for kinds that are served now and ends those of kinds that no longer are.
func (f *follower) discover(ctx context.Context) error {
	served, err := f.client.lister.discover(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, info := range snapshot.ServedKinds() {
		t := f.tables[info.Kind]
		if t == nil {
			t = &followed{info: info, items: map[[2]string]manifest.Item{}, dirty: map[[2]string]bool{}}
			f.tables[info.Kind] = t
		}
		version, known := served.version(info)
		if info.CostOnly {
			version, known = "", &snapshot.Knowledge{State: snapshot.Hidden, Reason: "not read: no verdict depends on it"}
		}
		if known == nil && t.stop != nil && t.version == version {
			continue
		}
		if t.stop != nil {
			t.stop()
			t.stop = nil
		}
		t.version = version
		if known != nil {
			f.settle(t, known)
			for name := range t.items {
				t.dirty[name] = true
			}
			clear(t.items)
			continue
		}
		t.ready, t.known = false, nil
		watching, stop := context.WithCancel(ctx)
		t.stop = stop
		f.running.Go(func() { f.client.watch(watching, info, version, &feed{follower: f, table: t}) })
	}
	return nil
}

// settle records what is known of a kind. The caller holds the lock.
func (f *follower) settle(t *followed, known *snapshot.Knowledge) {
	same := t.known == nil && known == nil || t.known != nil && known != nil && *t.known == *known
	if t.ready && same {
		return
	}
	t.ready, t.known, t.marked = true, known, true
	f.news()
}

// news wakes the loop. The caller holds the lock.
func (f *follower) news() {
	if f.since.IsZero() {
		f.since = time.Now()
	}
	signal(f.wake)
}

// loop passes on what changed, after a moment of quiet.
func (f *follower) loop(ctx context.Context, changed func(News)) error {
	var current *snapshot.Snapshot
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.reread:
			if err := f.discover(ctx); err != nil && ctx.Err() == nil && f.opts.Failed != nil {
				f.opts.Failed(snapshot.Kind{}, f.cluster.describe("discover the API", err))
			}
			continue
		case <-f.wake:
		}
		f.quieten(ctx)
		news, ok := f.take(&current)
		if ok && ctx.Err() == nil {
			changed(news)
		}
	}
}

// quieten waits until nothing came for a while, or for as long as it may.
func (f *follower) quieten(ctx context.Context) {
	most := time.NewTimer(f.opts.Most)
	defer most.Stop()
	quiet := time.NewTimer(f.opts.Quiet)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-most.C:
			return
		case <-quiet.C:
			return
		case <-f.wake:
			quiet.Reset(f.opts.Quiet)
		}
	}
}

// take makes the next snapshot of what changed; false while the first is not complete.
func (f *follower) take(current **snapshot.Snapshot) (News, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := *current == nil
	for _, t := range f.tables {
		if !t.ready && first {
			return News{}, false
		}
	}
	b := snapshot.NewBuilder()
	var touched []object.Ref
	configMaps := false
	for _, info := range snapshot.ServedKinds() {
		t := f.tables[info.Kind]
		configMaps = configMaps || len(t.dirty) > 0 && (info.Kind.Kind == "ConfigMap" || info.Group == snapshot.GatewayGroup && info.Kind.Kind == "Gateway")
		if t.marked {
			if t.known != nil {
				b.Mark(info.Kind, *t.known)
			} else if !first {
				b.Mark(info.Kind, snapshot.Knowledge{State: snapshot.Known})
			}
			t.marked = false
		}
		for name := range t.dirty {
			touched = append(touched, object.Ref{Group: info.Group, Kind: info.Kind.Kind, Namespace: name[0], Name: name[1]})
			if item, there := t.items[name]; there && info.Kind.Kind != "ConfigMap" {
				item.AddTo(b)
			}
		}
		clear(t.dirty)
	}
	if t := f.tables[snapshot.Kind{Kind: "ConfigMap"}]; configMaps || first {
		for _, item := range t.items { // which of them matter depends on Gateways
			if o := item.Object(); o != nil {
				_ = b.Add(o, snapshot.Source{}) // a copy: readers have the object; its type is one that a snapshot holds
			}
		}
	}
	news := News{Since: f.since}
	f.since = time.Time{}
	if first {
		news.Snapshot = b.Build()
	} else {
		slices.SortFunc(touched, object.Ref.Compare)
		news.Snapshot, news.Touched = (*current).Refresh(b, touched), touched
	}
	*current = news.Snapshot
	return news, true
}

// feed takes what one kind's watch brings; it is the store of a client-go reflector.
type feed struct {
	follower *follower
	table    *followed
	lean     manifest.Lean
}

// put takes one object over.
func (w *feed) put(o any) error {
	name, item, err := w.item(o)
	if err != nil {
		return err
	}
	if item.LeftOut() {
		return w.Delete(o)
	}
	w.follower.mu.Lock()
	defer w.follower.mu.Unlock()
	if had, there := w.table.items[name]; there && had.Same(item) {
		return nil
	}
	w.table.items[name] = item
	w.table.dirty[name] = true
	w.follower.news()
	return nil
}

// Add and Update put an object.
func (w *feed) Add(o any) error    { return w.put(o) }
func (w *feed) Update(o any) error { return w.put(o) }

// Delete removes an object.
func (w *feed) Delete(o any) error {
	name, err := nameOf(o)
	if err != nil {
		return err
	}
	w.follower.mu.Lock()
	defer w.follower.mu.Unlock()
	if _, there := w.table.items[name]; there {
		delete(w.table.items, name)
		w.table.dirty[name] = true
		w.follower.news()
	}
	return nil
}

// Replace takes what a list holds, at the start and after a watch that the server gave up.
func (w *feed) Replace(list []any, _ string) error {
	items := make(map[[2]string]manifest.Item, len(list))
	for i, o := range list {
		name, item, err := w.item(o)
		if err != nil {
			return err
		}
		if !item.LeftOut() {
			items[name] = item
		}
		list[i] = nil // it is large
	}
	w.follower.mu.Lock()
	defer w.follower.mu.Unlock()
	t := w.table
	for name, item := range items {
		if had, there := t.items[name]; there && had.Same(item) {
			items[name] = had
			continue
		}
		t.dirty[name] = true
	}
	for name := range t.items {
		if _, stays := items[name]; !stays {
			t.dirty[name] = true
		}
	}
	t.items = items
	if len(t.dirty) > 0 {
		w.follower.news()
	}
	if !t.denied {
		w.follower.settle(t, nil)
	}
	return nil
}

// Resync is not used: nothing is forgotten.
func (w *feed) Resync() error { return nil }

// failed records that the kind cannot be listed or watched. What was read before stays, and is no longer relied on.
func (w *feed) failed(err error) {
	w.follower.mu.Lock()
	known := w.table.known
	now := &snapshot.Knowledge{State: snapshot.Hidden, Reason: (&collector{cluster: w.follower.cluster}).reason(w.table.info, "", err)}
	w.follower.settle(w.table, now)
	w.follower.mu.Unlock()
	if report := w.follower.opts.Failed; report != nil && (known == nil || *known != *now) {
		report(w.table.info.Kind, err)
	}
}

// unwatched records that the kind may be listed and not watched.
func (w *feed) unwatched(err error) {
	w.follower.mu.Lock()
	w.table.denied = true
	w.follower.mu.Unlock()
	w.failed(err)
}

// works records that a watch was opened: what was read is complete.
func (w *feed) works() {
	w.follower.mu.Lock()
	defer w.follower.mu.Unlock()
	w.table.denied = false
	if w.table.ready && w.table.known != nil {
		w.follower.settle(w.table, nil)
	}
}
