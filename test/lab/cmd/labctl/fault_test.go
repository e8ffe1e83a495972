package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/test/lab/standin"
)

func TestFaultsByTheirCommandLines(t *testing.T) {
	for line, want := range map[string]standin.Faults{
		"api-latency 300ms":                    {API: standin.APIFault{Latency: standin.Duration(300 * time.Millisecond)}},
		"api-errors 0.5 429 services,gateways": {API: standin.APIFault{ErrorRate: 0.5, ErrorCode: 429, Resources: []string{"services", "gateways"}}},
		"clock-skew 1h":                        {Clock: standin.ClockFault{API: standin.Duration(time.Hour)}},
		"clock-skew -5m lab-01,lab-02":         {Clock: standin.ClockFault{Node: standin.Duration(-5 * time.Minute), Nodes: []string{"lab-01", "lab-02"}}},
		"certificate expired":                  {Clock: standin.ClockFault{Certificate: "expired"}},
		"node-down lab-01":                     {Kubelet: standin.KubeletFault{NodesDown: []string{"lab-01"}}},
		"waypoint-not-ready t15/waypoint":      {Kubelet: standin.KubeletFault{WaypointsNotReady: []string{"t15/waypoint"}}},
		"cni pending shop":                     {CNI: standin.CNIFault{Fail: "pending", Namespaces: []string{"shop"}}},
		"cni delay=2s":                         {CNI: standin.CNIFault{Delay: standin.Duration(2 * time.Second)}},
		"gitops shop,pay":                      {GitOps: standin.GitOpsFault{Namespaces: []string{"shop", "pay"}}},
		"latency bad":                          {Metrics: standin.MetricsFault{Model: "bad"}},
		"missing envoy,ztunnel":                {Metrics: standin.MetricsFault{Missing: []string{"envoy", "ztunnel"}}},
	} {
		t.Run(line, func(t *testing.T) {
			var have standin.Faults
			words := strings.Fields(line)
			if err := setFault(&have, words[0], words[1:]); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(have, want) {
				t.Errorf("have %s\nwant %s", faultText(have), faultText(want))
			}
			if !strings.Contains(faultUsage, "  "+words[0]+" ") {
				t.Errorf("%s is not in the help", words[0])
			}
		})
	}
}

func TestFaultsWithMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"api-latency":      "an argument is missing",
		"api-latency soon": "invalid duration",
		"api-errors much":  "invalid syntax",
		"weather bad":      `no fault "weather"`,
	} {
		t.Run(line, func(t *testing.T) {
			words := strings.Fields(line)
			if err := setFault(&standin.Faults{}, words[0], words[1:]); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %q", err, want)
			}
		})
	}
}
