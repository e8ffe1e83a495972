// Package controller runs Sidestep in a cluster: it keeps a snapshot current from watches, audits it after every change, and gives
// every Migration its status, its events and, in mode Enforce, its next step. What it decides by is decided in pure packages; a
// Reconcile reads, asks, lets live act, and writes the status.
package controller

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/duty"
	"github.com/sidestep-mesh/sidestep/internal/live"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Name is the controller's in events, and its field manager.
const Name = "sidestep-controller"

// Options of the controller.
type Options struct {
	Cluster *live.Cluster
	// Namespace is the controller's own: its lease and the ConfigMaps with plans are there.
	Namespace string
	// LeaderElection lets several replicas run, of which one acts.
	LeaderElection bool
	// MetricsAddress and ProbeAddress are listened on; "0" for not at all.
	MetricsAddress, ProbeAddress string
	// InsecureMetrics serves metrics over HTTP to everybody instead of over HTTPS to those whom the API server lets.
	InsecureMetrics bool
	// Quiet is how long nothing may change before changes are looked at; 100ms when 0.
	Quiet time.Duration
	// Log gets what happens.
	Log *slog.Logger
}

// Run runs the controller until ctx ends.
func Run(ctx context.Context, o Options) error {
	log := logr.FromSlogHandler(o.Log.Handler())
	ctrllog.SetLogger(log)
	klog.SetLogger(log)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("register API types: %w", err)
		}
	}
	counted := countRequests(o.Cluster.Config)
	serving := server.Options{BindAddress: cmp.Or(o.MetricsAddress, "0"), SecureServing: !o.InsecureMetrics}
	if !o.InsecureMetrics {
		serving.FilterProvider = authorized
	}
	mgr, err := manager.New(counted, manager.Options{
		Scheme: scheme, Logger: log, Metrics: serving, HealthProbeBindAddress: cmp.Or(o.ProbeAddress, "0"),
		LeaderElection: o.LeaderElection, LeaderElectionID: "sidestep-controller", LeaderElectionNamespace: o.Namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return fmt.Errorf("cluster %s: %w", o.Cluster.Name, err)
	}
	for _, add := range []func(string, healthz.Checker) error{mgr.AddHealthzCheck, mgr.AddReadyzCheck} {
		if err := add("ping", healthz.Ping); err != nil {
			return err
		}
	}
	m := newMeters()
	if err := m.register(metrics.Registry); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	e := &engine{cluster: &live.Cluster{Config: counted, Name: o.Cluster.Name}, quiet: o.Quiet, log: o.Log, meters: m, changed: make(chan event.GenericEvent, 1)}
	writer, err := live.NewWriter(e.cluster)
	if err != nil {
		return err
	}
	p := &planner{engine: e, client: mgr.GetClient(), reader: mgr.GetAPIReader(), namespace: o.Namespace, log: o.Log,
		wake: make(chan struct{}, 1), wanted: map[string]v1alpha1.MigrationSpec{}, plans: map[string]*planned{}}
	c := &carrier{engine: e, planner: p, writer: writer, log: o.Log, now: time.Now,
		wake: make(chan struct{}, 1), wanted: map[string]*v1alpha1.Migration{}, done: map[string]*duty.Carried{}}
	r := &reconciler{client: mgr.GetClient(), engine: e, planner: p, carrier: c, meters: m, events: mgr.GetEventRecorder(Name), now: time.Now}
	err = builder.ControllerManagedBy(mgr).Named("migration").
		For(&v1alpha1.Migration{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Channel(e.changed, handler.EnqueueRequestsFromMapFunc(r.every))).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set the controller up: %w", err)
	}
	for _, r := range []manager.Runnable{e, p, c} {
		if err := mgr.Add(r); err != nil {
			return err
		}
	}
	if err := mgr.Start(ctx); err != nil {
		if meta.IsNoMatchError(err) {
			err = fmt.Errorf("%w; install the CustomResourceDefinition: kubectl apply -f deploy/crds", err)
		}
		return fmt.Errorf("cluster %s: %w", o.Cluster.Name, err)
	}
	return nil
}
