package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// Peer is one end of an observed call. Workload is the name that metrics give a workload (of its Deployment, StatefulSet, ...);
// empty for somebody outside the mesh. Principal is spelled without spiffe://.
type Peer struct {
	Namespace string `json:"namespace,omitempty"`
	Workload  string `json:"workload,omitempty"`
	Principal string `json:"principal,omitempty"`
}

// outside reports whether nothing says who it is.
func (p Peer) outside() bool { return p.Workload == "" && p.Principal == "" }

// Call is an edge of a call graph.
type Call struct {
	From Peer `json:"from"`
	To   Peer `json:"to"`
	// Service is namespace/name, where the call was made by one; PodIP tells that it was made to the pods' own addresses.
	Service string `json:"service,omitempty"`
	PodIP   bool   `json:"podIP,omitempty"`
	// Port is the pods' port, 0 where it is not known.
	Port uint16 `json:"port,omitempty"`
}

// CallGraph is what was observed. It only ever decides which needs are kept: a wrong one may leave a call without an order, which
// the guard then refuses, and never opens anything.
type CallGraph struct {
	// Source says where it comes from, for the reader.
	Source string `json:"source,omitempty"`
	Calls  []Call `json:"calls"`
}

// ReadCalls reads a call graph: an answer of Prometheus' query API about istio_requests_total or istio_tcp_*, or a document of the
// form {calls: [{from: {namespace, workload}, to: {namespace, workload}}]}. source names it in messages.
func ReadCalls(raw []byte, source string) (*CallGraph, error) {
	var probe struct {
		Status string          `json:"status"`
		Error  string          `json:"error"`
		Data   json.RawMessage `json:"data"`
		Calls  json.RawMessage `json:"calls"`
	}
	text, err := yaml.YAMLToJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: neither JSON nor YAML: %w", source, err)
	}
	if err := json.Unmarshal(text, &probe); err != nil {
		return nil, fmt.Errorf("%s: want an answer of Prometheus or a document with calls: %w", source, err)
	}
	switch {
	case probe.Status == "error":
		return nil, fmt.Errorf("%s: Prometheus answered with an error: %s", source, probe.Error)
	case probe.Data != nil:
		return fromPrometheus(probe.Data, source)
	case probe.Calls == nil:
		return nil, fmt.Errorf("%s: it has neither data (an answer of Prometheus) nor calls", source)
	}
	g := &CallGraph{}
	if err := yaml.UnmarshalStrict(raw, g); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	g.Source = cmp.Or(g.Source, source)
	for i, c := range g.Calls {
		if c.To.Workload == "" || c.To.Namespace == "" {
			return nil, fmt.Errorf("%s: calls[%d].to: namespace and workload are needed", source, i)
		}
		if c.From.Workload != "" && c.From.Namespace == "" {
			return nil, fmt.Errorf("%s: calls[%d].from: workload %s has no namespace", source, i, c.From.Workload)
		}
	}
	return g, nil
}

// fromPrometheus reads the data of an instant or range query. A series without a single count above zero is no call.
func fromPrometheus(data json.RawMessage, source string) (*CallGraph, error) {
	var answer struct {
		Result []struct {
			Metric map[string]string `json:"metric"`
			Value  [2]any            `json:"value"`
			Values [][2]any          `json:"values"`
		} `json:"result"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("%s: want a vector or a matrix of istio_requests_total: %w", source, err)
	}
	g := &CallGraph{Source: source}
	for i, r := range answer.Result {
		values := r.Values
		if r.Value[1] != nil {
			values = append(values, r.Value)
		}
		if !slices.ContainsFunc(values, func(v [2]any) bool { return positive(v[1]) }) {
			continue
		}
		m := r.Metric
		if m["destination_workload"] == "" && m["destination_service_name"] == "" {
			return nil, fmt.Errorf("%s: series %d has no destination_workload: sum by (source_workload, source_workload_namespace, source_principal, "+
				"destination_workload, destination_workload_namespace, destination_service_name, destination_service_namespace)", source, i)
		}
		g.add(m)
	}
	return g, nil
}

// CallsOf makes a call graph of the labels of series of istio_requests_total or istio_tcp_*, each of which counted something.
func CallsOf(series []map[string]string, source string) *CallGraph {
	g := &CallGraph{Source: source}
	for _, labels := range series {
		g.add(labels)
	}
	return g
}

// add adds the call of one series.
func (g *CallGraph) add(m map[string]string) {
	if known(m["destination_workload"]) == "" {
		return // outside the mesh, or not told: nobody's migration depends on it
	}
	c := Call{
		From: Peer{Namespace: known(m["source_workload_namespace"]), Workload: known(m["source_workload"]), Principal: principal(m["source_principal"])},
		To:   Peer{Namespace: known(m["destination_workload_namespace"]), Workload: known(m["destination_workload"])},
	}
	switch service := known(m["destination_service_name"]); {
	case service == "InboundPassthroughCluster", service == "PassthroughCluster":
		c.PodIP = true // Istio's names for calls that no service explains
	case service != "":
		c.Service = cmp.Or(known(m["destination_service_namespace"]), c.To.Namespace) + "/" + service
	}
	g.Calls = append(g.Calls, c)
}

// known turns Istio's word for an empty label into an empty text.
func known(label string) string {
	if label == "unknown" {
		return ""
	}
	return label
}

func principal(label string) string { return strings.TrimPrefix(known(label), "spiffe://") }

// positive reports whether a sample is above zero. What is no number counts as one: it was there.
func positive(sample any) bool {
	text, ok := sample.(string)
	if !ok {
		return false
	}
	n, err := strconv.ParseFloat(text, 64)
	return err != nil || !(n <= 0)
}
