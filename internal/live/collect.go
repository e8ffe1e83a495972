package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// Options changes what Collect reads. The zero value reads the whole cluster.
type Options struct {
	// Namespaces limits namespaced kinds to these; all when empty. What lies outside is then unknown,
	// not absent, so Istio's root namespace belongs in the list.
	Namespaces []string
	// PageSize is how many objects one request asks for; 500 when 0.
	PageSize int64
	// Parallel is how many requests run at once; 4 when 0. Memory grows with it, by a page each.
	Parallel int
	// Timeout bounds one request; when 0 that of the cluster's configuration, or a minute.
	Timeout time.Duration
	// Cost reads the kinds that no verdict depends on too, only the number of nodes (snapshot.KindInfo.CostOnly). Without it they
	// are Hidden in the snapshot.
	Cost bool
	// Progress, when set, is told after each kind how many of all are read. It is called from one
	// goroutine at a time.
	Progress func(read, all int)
}

// Collect lists every kind of snapshot.Kinds (see Options.Cost) that the cluster serves and this user may list. It only reads.
// A kind that may not be listed, or whose listing fails, is Hidden in the snapshot; one that is not served
// is NotServed. An error means that nothing can be said: the cluster is out of reach or refuses the credentials.
func Collect(ctx context.Context, cluster *Cluster, opts Options) (*snapshot.Snapshot, error) {
	opts.PageSize = cmp.Or(opts.PageSize, 500)
	opts.Parallel = cmp.Or(opts.Parallel, 4)
	opts.Timeout = cmp.Or(opts.Timeout, cluster.Config.Timeout, time.Minute)
	cfg := rest.CopyConfig(cluster.Config)
	cfg.QPS, cfg.Burst = -1, 0 // Parallel bounds us; API priority and fairness bounds the server's side
	cfg.Timeout = opts.Timeout
	// Against a server on this machine (kind, a port-forward) compression costs both sides time and saves none.
	cfg.DisableCompression = cfg.DisableCompression || onThisMachine(cfg.Host)
	client, err := newLister(cfg, opts.PageSize)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", cluster.Name, err)
	}
	served, err := client.discover(ctx)
	if err != nil {
		return nil, cluster.describe("discover the API", err)
	}
	c := collector{cluster: cluster, opts: opts, client: client, kinds: snapshot.ServedKinds()}
	c.results = make([]listing, len(c.kinds))
	if err := c.run(ctx, served); err != nil {
		return nil, err
	}
	return c.snapshot()
}

func onThisMachine(host string) bool {
	u, err := url.Parse(host)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// listing is what came of one kind.
type listing struct {
	items     []manifest.Item
	knowledge *snapshot.Knowledge
	problems  []snapshot.Problem
	failed    error
}

type collector struct {
	cluster *Cluster
	opts    Options
	client  *lister
	kinds   []snapshot.KindInfo
	results []listing
}

// run lists the kinds, opts.Parallel at a time. Refused credentials end it: every other request would be
// refused as well.
func (c *collector) run(ctx context.Context, served *served) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	next, read := 0, 0
	for range min(c.opts.Parallel, len(c.kinds)) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(c.kinds) || ctx.Err() != nil {
					return
				}
				c.results[i] = c.list(ctx, c.kinds[i], served)
				if err := c.results[i].failed; apierrors.IsUnauthorized(err) {
					cancel(c.cluster.describe("list "+c.kinds[i].Resource, err))
				}
				mu.Lock()
				read++
				if c.opts.Progress != nil {
					c.opts.Progress(read, len(c.kinds))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// list reads one kind, in all namespaces or in those asked for.
func (c *collector) list(ctx context.Context, kind snapshot.KindInfo, served *served) listing {
	if kind.CostOnly && !c.opts.Cost {
		return listing{knowledge: &snapshot.Knowledge{State: snapshot.Hidden, Reason: "not read: no verdict depends on it"}}
	}
	version, known := served.version(kind)
	if known != nil {
		return listing{knowledge: known}
	}
	namespaces := c.opts.Namespaces
	if len(namespaces) > 0 && kind.Group == "" && kind.Resource == "namespaces" {
		return c.getNamespaces(ctx)
	}
	if !kind.Namespaced || len(namespaces) == 0 {
		namespaces = []string{""}
	}
	var out listing
	for _, ns := range namespaces {
		items, err := c.client.all(ctx, kind, version, ns)
		if err != nil {
			out.failed = err
			reason := c.reason(kind, ns, err)
			if ns == "" {
				out.knowledge = &snapshot.Knowledge{State: snapshot.Hidden, Reason: reason}
				return out
			}
			out.problems = append(out.problems, snapshot.Problem{Kind: kind.Kind, Namespace: ns, Message: reason})
		}
		out.items = append(out.items, items...)
	}
	return out
}

// getNamespaces reads the namespaces asked for one by one: who may read only those may not list them all.
func (c *collector) getNamespaces(ctx context.Context) listing {
	var out listing
	for _, ns := range c.opts.Namespaces {
		item, err := c.client.namespace(ctx, ns)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			out.failed = err
			out.knowledge = &snapshot.Knowledge{State: snapshot.Hidden, Reason: "get namespace " + ns + ": " + oneLine(err)}
		default:
			out.items = append(out.items, item)
		}
	}
	return out
}

// reason says verb, kind and why for a report.
func (c *collector) reason(kind snapshot.KindInfo, ns string, err error) string {
	resource := kind.Resource
	if kind.Group != "" {
		resource += "." + kind.Group
	}
	if ns != "" {
		resource += " in namespace " + ns
	}
	switch {
	case apierrors.IsForbidden(err):
		return "may not list " + resource + ": " + oneLine(err)
	case isTimeout(err):
		return fmt.Sprintf("list %s: no answer within %v", resource, c.opts.Timeout)
	}
	return "list " + resource + ": " + oneLine(err)
}

// snapshot puts the listings together in the order of kinds, whatever order they came in.
func (c *collector) snapshot() (*snapshot.Snapshot, error) {
	b := snapshot.NewBuilder()
	if len(c.opts.Namespaces) > 0 {
		b.Only(c.opts.Namespaces)
	}
	read := 0
	var last error
	for i, l := range c.results {
		if l.failed != nil {
			last = c.cluster.describe("list "+c.kinds[i].Resource, l.failed)
		} else if l.knowledge == nil {
			read++
		}
		if l.knowledge != nil {
			b.Mark(c.kinds[i].Kind, *l.knowledge)
		}
		for _, item := range l.items {
			item.AddTo(b)
		}
		for _, p := range l.problems {
			b.Report(p)
		}
		c.results[i] = listing{}
	}
	if read == 0 && last != nil {
		return nil, last
	}
	return b.Build(), nil
}

// describe words an error that ends the collection: which cluster, which verb, what to do.
func (c *Cluster) describe(verb string, err error) error {
	advice := ""
	switch {
	case apierrors.IsUnauthorized(err):
		advice = "; the credentials are not accepted or have expired: log in again, or use another --context"
	case apierrors.IsForbidden(err):
		advice = "; grant the ClusterRole of sidestep audit --print-rbac"
	case !isAnswer(err):
		advice = "; is the cluster reachable from here? An archive or manifests can be read with -f"
	}
	return &describedError{fmt.Sprintf("cluster %s (%s): %s: %s%s", c.Name, c.Config.Host, verb, oneLine(err), advice), err}
}

// describedError is worded for a person, and keeps what it is about.
type describedError struct {
	text string
	err  error
}

func (e *describedError) Error() string { return e.text }
func (e *describedError) Unwrap() error { return e.err }

// isAnswer tells that the API server answered, if only with an error.
func isAnswer(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// sortedVersions returns the versions of a kind that are served, in the kind's order of preference.
func sortedVersions(kind snapshot.KindInfo, servedVersions []string) []string {
	var out []string
	for _, v := range kind.Versions {
		if slices.Contains(servedVersions, v) {
			out = append(out, v)
		}
	}
	return out
}
