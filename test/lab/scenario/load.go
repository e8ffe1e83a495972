package scenario

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
)

// manager is the field manager of a scenario's objects: what a user's deployment tool would be.
const manager = "lab-scenario"

// CallsNamespace is where loaded scenarios keep their call graph, one ConfigMap each, for the metrics stand-in.
const CallsNamespace = "lab-system"

// Apply writes the scenario to the cluster without waiting for its pods.
func (s *Scenario) Apply(ctx context.Context, c *cluster.Client) error {
	calls, err := s.callsObjects()
	if err != nil {
		return err
	}
	return c.Apply(ctx, manager, append(calls, s.Objects...))
}

// Unload removes the scenario's objects and waits until its namespaces are gone.
func (s *Scenario) Unload(ctx context.Context, c *cluster.Client) error {
	calls, err := s.callsObjects()
	if err != nil {
		return err
	}
	if err := c.Delete(ctx, append(calls[1:], s.Objects...)); err != nil {
		return err
	}
	return c.WaitNamespacesGone(ctx, s.OwnNamespaces())
}

// Wait returns when every pod of the scenario is ready; the error on a timeout says what is missing.
func (s *Scenario) Wait(ctx context.Context, c *cluster.Client) error {
	return c.WaitWorkloads(ctx, s.OwnNamespaces())
}

// Load applies the scenario and waits for its pods.
func (s *Scenario) Load(ctx context.Context, c *cluster.Client) (time.Duration, error) {
	began := time.Now()
	if err := s.Apply(ctx, c); err != nil {
		return 0, fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	if err := s.Wait(ctx, c); err != nil {
		return 0, fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	return time.Since(began), nil
}

func (s *Scenario) callsObjects() ([]*unstructured.Unstructured, error) {
	raw, err := yaml.Marshal(s.Mesh.Calls)
	if err != nil {
		return nil, err
	}
	return []*unstructured.Unstructured{
		{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": CallsNamespace}}},
		{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": "calls-" + s.Name, "namespace": CallsNamespace},
			"data":     map[string]any{"calls.yaml": string(raw)},
		}},
	}, nil
}

// Calls reads the call graphs of all loaded scenarios from the cluster.
func Calls(ctx context.Context, c *cluster.Client) ([]Call, error) {
	maps, err := c.Kube.CoreV1().ConfigMaps(CallsNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var all []Call
	for _, m := range maps.Items {
		if text, ok := m.Data["calls.yaml"]; ok {
			var calls []Call
			if err := yaml.Unmarshal([]byte(text), &calls); err != nil {
				return nil, fmt.Errorf("ConfigMap %s/%s: %w", m.Namespace, m.Name, err)
			}
			all = append(all, calls...)
		}
	}
	return all, nil
}
