package generate

import "math"

// scaling is one way to scale a waypoint.
type scaling struct {
	// least and most are bounds of the number of pods; target is the share of a pod's CPU request that the autoscaler keeps.
	least, most int
	target      float64
	// window is for how many seconds the autoscaler remembers a higher need before it scales down.
	window int
}

// outcome is what a way to scale would have done with a recorded load.
type outcome struct {
	// ups and downs count changes of the number of pods; each down ends connections.
	ups, downs int
	// saturated is for how many seconds the pods had less CPU than the load needs, and podHours what was paid.
	saturated int
	podHours  float64
	peakPods  int
}

// What the simulation takes for granted: kube-controller-manager's defaults, and that a pod serves half a minute after it was asked for.
const (
	syncSeconds  = 15
	startSeconds = 30
	tolerance    = 0.1
)

// simulate lets an autoscaler follow a load, in cores, that was sampled every step seconds. Between samples the load is a straight line. The rules are
// those of the HorizontalPodAutoscaler: no change within a tenth of the target, at most a doubling or 4 pods more in 15 seconds, and going down only
// to the most that was wanted within the window, by one pod a minute.
// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
func simulate(load []float64, step int, request, limit float64, s scaling) outcome {
	var out outcome
	wanted := s.least
	ready := []int{} // when pods that were asked for begin to serve
	serving := s.least
	var history []int // what was wanted, a sync each
	lastDown := -60
	for t := 0; t < (len(load)-1)*step; t += syncSeconds {
		at := t / step
		need := load[at] + (load[at+1]-load[at])*float64(t%step)/float64(step)
		for len(ready) > 0 && ready[0] <= t {
			ready, serving = ready[1:], serving+1
		}
		serving = min(serving, wanted)
		if need > float64(serving)*limit {
			out.saturated += syncSeconds
		}
		use := math.Min(need/float64(serving), limit) // a pod cannot use more than its limit, so the autoscaler cannot see more
		ratio := use / request / s.target
		desired := wanted
		if math.Abs(ratio-1) > tolerance {
			desired = int(math.Ceil(float64(serving) * ratio))
		}
		desired = max(s.least, min(s.most, desired))
		history = append(history, desired)
		if keep := s.window / syncSeconds; len(history) > keep {
			history = history[len(history)-keep:]
		}
		switch {
		case desired > wanted:
			next := min(desired, wanted+max(4, wanted))
			for range next - wanted {
				ready = append(ready, t+startSeconds)
			}
			wanted = next
			out.ups++
		case desired < wanted && t-lastDown >= 60:
			floor := desired
			for _, h := range history {
				floor = max(floor, h)
			}
			if floor < wanted {
				wanted--
				serving = min(serving, wanted)
				ready = ready[:min(len(ready), wanted-serving)]
				out.downs++
				lastDown = t
			}
		}
		out.podHours += float64(wanted) * syncSeconds / 3600
		out.peakPods = max(out.peakPods, wanted)
	}
	return out
}

// better orders ways to scale: time without enough CPU weighs most, then connections that end, then what it costs.
func (o outcome) better(p outcome) bool {
	if o.saturated != p.saturated {
		return o.saturated < p.saturated
	}
	if o.downs != p.downs {
		return o.downs < p.downs
	}
	return o.podHours < p.podHours
}
