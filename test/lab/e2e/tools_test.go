//go:build lab

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

// loadWorkload makes a namespace with one plain workload, gone when the test ends.
func loadWorkload(ctx context.Context, t *testing.T, client *cluster.Client, ns string) {
	t.Helper()
	s, err := scenario.Parse(ns, fmt.Appendf(nil, `
-- mesh.yaml --
namespaces: {%[1]s: {}}
workloads: [{name: %[1]s/web, replicas: 2}]
`, ns))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Unload(context.WithoutCancel(ctx), client); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Load(ctx, client); err != nil {
		t.Fatal(err)
	}
}

func patchLabel(ctx context.Context, client *cluster.Client, ns, key string, value any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{key: value}}})
	if err != nil {
		return err
	}
	_, err = client.Kube.CoreV1().Namespaces().Patch(ctx, ns, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// ambientzSays asks the real istiod which protocol ztunnel would use to the namespace's workloads.
func ambientzSays(ctx context.Context, ns, protocol string) error {
	var dump struct {
		Workloads []struct{ Namespace, TunnelProtocol, Name string }
	}
	if err := getJSON(ctx, shared.IstiodHTTP+"/debug/ambientz", &dump); err != nil {
		return err
	}
	seen := 0
	for _, w := range dump.Workloads {
		if w.Namespace != ns {
			continue
		}
		seen++
		if w.TunnelProtocol != protocol {
			return fmt.Errorf("workload %s: want %s, have %q", w.Name, protocol, w.TunnelProtocol)
		}
	}
	if seen == 0 {
		return fmt.Errorf("istiod knows no workload in %s", ns)
	}
	return nil
}

func getJSON(ctx context.Context, url string, into any) error {
	body, err := getText(ctx, url)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(body), into)
}

func getText(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s: %s: %.200s", url, response.Status, body)
	}
	return string(body), nil
}

// series is one element of a Prometheus instant vector.
type series struct {
	Metric map[string]string
	Value  float64
}

// query asks the lab's Prometheus; no series is an error, since every caller waits for some.
func query(ctx context.Context, promQL string) ([]series, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := getJSON(ctx, shared.Prometheus+"/api/v1/query?query="+url.QueryEscape(promQL), &answer); err != nil {
		return nil, err
	}
	if len(answer.Data.Result) == 0 {
		return nil, fmt.Errorf("no series for %s", promQL)
	}
	var all []series
	for _, r := range answer.Data.Result {
		text, ok := r.Value[1].(string)
		var value float64
		if _, err := fmt.Sscan(text, &value); !ok || err != nil {
			return nil, errors.New("not a number: " + text)
		}
		all = append(all, series{r.Metric, value})
	}
	return all, nil
}
