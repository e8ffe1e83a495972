package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	lab "github.com/sidestep-mesh/sidestep/test/lab"
	"github.com/sidestep-mesh/sidestep/test/lab/standin"
)

const faultUsage = `labctl fault ...
  api-latency DURATION [RESOURCE,...]      every matching request to the API waits that long
  api-errors SHARE [CODE] [RESOURCE,...]   that share of requests (0 to 1) fails with CODE (503)
  clock-skew DURATION [NODE,...]           the API server's clock, or those of nodes, are ahead by so much (-5m: behind)
  certificate not-yet-valid|expired        what a wrong clock makes of the API server's certificate
  stop PROCESS, start PROCESS              istiod, prometheus, ... : take it away, bring it back
  node-down NODE[,...]                     the nodes stop being ready
  waypoint-not-ready NAMESPACE/GATEWAY     the waypoint's pods fail their readiness probe
  cni pending|never|delay=DURATION [NAMESPACE,...]
                                           enrolment stays pending, does not happen, or comes late
  gitops NAMESPACE[,...]                   a GitOps tool puts labels back
  latency published|bad                    which latency and load model the metrics follow
  missing EXPORTER[,...]                   envoy, ztunnel, cadvisor, kube-state-metrics, node-exporter: no series from it
  clear                                    all of the above but stopped processes
Several can be set one after the other; they add up.
`

func fault(ctx context.Context, dir string, args []string) error {
	if len(args) == 0 {
		fmt.Print(faultUsage)
		return nil
	}
	l, err := lab.Attach(dir)
	if err != nil {
		return err
	}
	switch {
	case args[0] == "stop" && len(args) == 2:
		return l.Stop(ctx, args[1])
	case args[0] == "start" && len(args) == 2:
		return l.Start(ctx, args[1])
	case args[0] == "clear":
		return l.SetFaults(ctx, standin.Faults{})
	}
	f, err := l.Faults(ctx)
	if err != nil {
		return err
	}
	if err := setFault(&f, args[0], args[1:]); err != nil {
		return err
	}
	if err := l.SetFaults(ctx, f); err != nil {
		return err
	}
	fmt.Println(faultText(f))
	return nil
}

func setFault(f *standin.Faults, name string, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("fault %s: an argument is missing (\"labctl fault\" lists what each takes)", name)
	}
	rest := func(n int) []string {
		if len(args) > n {
			return strings.Split(args[n], ",")
		}
		return nil
	}
	var err error
	switch name {
	case "api-latency":
		f.API.Latency, err = duration(args[0])
		f.API.Resources = rest(1)
	case "api-errors":
		f.API.ErrorRate, err = strconv.ParseFloat(args[0], 64)
		if len(args) > 1 && err == nil {
			f.API.ErrorCode, err = strconv.Atoi(args[1])
		}
		f.API.Resources = rest(2)
	case "clock-skew":
		var skew standin.Duration
		skew, err = duration(args[0])
		if nodes := rest(1); len(nodes) > 0 {
			f.Clock.Node, f.Clock.Nodes = skew, nodes
		} else {
			f.Clock.API = skew
		}
	case "certificate":
		f.Clock.Certificate = args[0]
	case "node-down":
		f.Kubelet.NodesDown = rest(0)
	case "waypoint-not-ready":
		f.Kubelet.WaypointsNotReady = rest(0)
	case "cni":
		f.CNI.Namespaces = rest(1)
		if text, ok := strings.CutPrefix(args[0], "delay="); ok {
			f.CNI.Delay, err = duration(text)
		} else {
			f.CNI.Fail = args[0]
		}
	case "gitops":
		f.GitOps.Namespaces = rest(0)
	case "latency":
		f.Metrics.Model = args[0]
	case "missing":
		f.Metrics.Missing = rest(0)
	default:
		return fmt.Errorf("no fault %q (\"labctl fault\" lists them)", name)
	}
	return err
}

func duration(text string) (standin.Duration, error) {
	d, err := time.ParseDuration(text)
	return standin.Duration(d), err
}

func faultText(f standin.Faults) string {
	raw, err := json.Marshal(f)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}
