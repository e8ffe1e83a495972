package lab

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

// bringUp starts everything in dependency order, what is independent at the same time.
func (s *supervisor) bringUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := os.WriteFile(s.state.path("prometheus.yml"), []byte(s.state.prometheusConfig()), 0o644); err != nil {
		return err
	}
	for _, name := range []string{Etcd, APIServer} {
		if err := s.startReady(ctx, name); err != nil {
			return err
		}
	}
	err := together(
		func() error { return s.startReady(ctx, ControllerManager) },
		func() error { return s.startReady(ctx, Scheduler) },
		func() error { return s.startReady(ctx, Kwok) },
		func() error { return s.startReady(ctx, StandIns) },
		func() error { return s.startReady(ctx, Prometheus) },
		func() error { return s.install(ctx) },
	)
	if err != nil {
		return err
	}
	if err := s.startReady(ctx, Istiod); err != nil {
		return err
	}
	return s.waitWebhooks(ctx)
}

// together runs steps at the same time and returns the first error when all are done.
func together(steps ...func() error) error {
	errs := make(chan error, len(steps))
	for _, step := range steps {
		go func() { errs <- step() }()
	}
	var first error
	for range steps {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// install applies the Gateway API, Istio's ambient profile with its webhooks led
// to the istiod of this lab, and the first nodes.
func (s *supervisor) install(ctx context.Context) error {
	began := time.Now()
	client, err := cluster.Connect(s.state.DirectKubeconfig)
	if err != nil {
		return err
	}
	var objects []*unstructured.Unstructured
	for _, file := range []string{"gateway-api.yaml", "ambient.yaml"} {
		path := s.state.Bin.Path("istio", file)
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		parsed, err := cluster.Parse(path, raw)
		if err != nil {
			return err
		}
		objects = append(objects, parsed...)
	}
	for _, o := range objects {
		if strings.HasSuffix(o.GetKind(), "WebhookConfiguration") {
			if err := s.leadWebhooksHome(o); err != nil {
				return fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
			}
		}
	}
	namespace := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": IstioNamespace},
	}}
	first, err := scenario.Nodes(scenario.NodePool{Name: "lab", Count: 3, Zones: []string{"zone-a", "zone-b", "zone-c"}, InstanceType: "m6i.4xlarge"})
	if err != nil {
		return err
	}
	objects = append(append(objects, namespace), first...)
	if err := s.applyWhenServed(ctx, client, objects); err != nil {
		return err
	}
	log.Printf("Istio and Gateway API installed in %.1fs (%d objects)", time.Since(began).Seconds(), len(objects))
	return nil
}

// applyWhenServed applies, and tries again while a kind that was just defined is not served yet.
func (s *supervisor) applyWhenServed(ctx context.Context, client *cluster.Client, objects []*unstructured.Unstructured) error {
	for {
		err := client.Apply(ctx, "istio-installer", objects)
		if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "no matches for kind") && !strings.Contains(err.Error(), "could not find the requested resource") {
			return err
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// leadWebhooksHome replaces the reference to Service istiod, which no pod answers
// here, by the address of the real istiod. istiod fills in the CA bundle itself.
func (s *supervisor) leadWebhooksHome(o *unstructured.Unstructured) error {
	webhooks, _, err := unstructured.NestedSlice(o.Object, "webhooks")
	if err != nil {
		return err
	}
	for _, w := range webhooks {
		webhook, ok := w.(map[string]any)
		if !ok {
			return fmt.Errorf("webhooks is not a list of objects")
		}
		path, _, err := unstructured.NestedString(webhook, "clientConfig", "service", "path")
		if err != nil {
			return err
		}
		webhook["clientConfig"] = map[string]any{"url": "https://localhost:" + s.state.port("istiod-https") + path}
	}
	return unstructured.SetNestedSlice(o.Object, webhooks, "webhooks")
}

// waitWebhooks waits until istiod has put its CA into its webhook configurations
// and made validation fail closed: before that every pod would be refused, and every policy let through.
func (s *supervisor) waitWebhooks(ctx context.Context) error {
	client, err := cluster.Connect(s.state.DirectKubeconfig)
	if err != nil {
		return err
	}
	err = cluster.Poll(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		admission := client.Kube.AdmissionregistrationV1()
		mutating, err := admission.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, c := range mutating.Items {
			for _, w := range c.Webhooks {
				if len(w.ClientConfig.CABundle) == 0 {
					return fmt.Errorf("%s of %s has no CA", w.Name, c.Name)
				}
			}
		}
		validating, err := admission.ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, c := range validating.Items {
			for _, w := range c.Webhooks {
				if len(w.ClientConfig.CABundle) == 0 || *w.FailurePolicy != admissionv1.Fail {
					return fmt.Errorf("%s of %s has no CA or does not fail closed", w.Name, c.Name)
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("istiod does not take over its webhooks: %w, log: %s", err, s.state.LogFile(Istiod))
	}
	return nil
}

// prometheusConfig scrapes the metrics stand-in, which answers for every exporter
// of a real cluster with the labels that relabelling would have given, and the real istiod.
func (s *State) prometheusConfig() string {
	return fmt.Sprintf(`global:
  scrape_interval: 15s
  scrape_timeout: 14s
# A node whose clock was ahead and is right again is scraped at once, not when time has caught up.
storage:
  tsdb: {out_of_order_time_window: 1h}
scrape_configs:
- job_name: lab
  honor_labels: true
  metrics_path: /metrics
  static_configs:
  - targets: [%q]
- job_name: istiod
  static_configs:
  - targets: [%q]
    labels: {app: istiod, namespace: istio-system, pod: istiod-lab}
`, s.addr("metrics"), s.addr("istiod-monitoring"))
}
