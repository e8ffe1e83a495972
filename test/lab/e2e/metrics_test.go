//go:build lab

package e2e

import (
	"context"
	"fmt"
	"math"
	"testing"
)

// What Prometheus has agrees with the call graph of the scenario and with the modes of the pods.
func TestMetricsInPrometheus(t *testing.T) {
	for name, c := range map[string]struct {
		promQL string
		want   float64
	}{
		"productpage's sidecars send 40 requests a second": {`sum(rate(istio_requests_total{reporter="source",source_workload="productpage-v1",namespace="bookinfo"}[2m]))`, 40},
		"the servers' sidecars see the same":               {`sum(rate(istio_requests_total{reporter="destination",source_workload="productpage-v1",namespace="bookinfo"}[2m]))`, 40},
		// Shape by shape as the ROI report counts them: 2,000 of payments, 6 of bookinfo, and those of the traps.
		"native sidecars of payments":  {`count(kube_pod_init_container_info{container="istio-proxy",restart_policy="Always",namespace=~"payments|orders|checkout|catalog|pricing|inventory|shipping|returns|customers|loyalty|search|media|messaging|fraud|ledger|partners|reporting|backoffice"} and on(namespace,pod) (kube_pod_status_phase{phase="Running"} == 1))`, 1800},
		"classic sidecars of payments": {`count(kube_pod_container_info{container="istio-proxy",namespace=~"support|identity"})`, 200},
		"one ztunnel a node":           {`count(kube_pod_owner{owner_kind="DaemonSet",owner_name="ztunnel"})`, 48},
		"nodes":                        {`count(kube_node_info)`, 48},
		"the real istiod is scraped":   {`count(pilot_info)`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, _ := use(t)
			eventually(ctx, t, func(ctx context.Context) error {
				have, err := query(ctx, c.promQL)
				if err != nil {
					return err
				}
				if v := have[0].Value; math.Abs(v-c.want) > 0.05*c.want {
					return fmt.Errorf("want %v, have %v", c.want, v)
				}
				return nil
			})
		})
	}
}
