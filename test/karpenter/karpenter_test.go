// Package karpenter judges the node simulator by Karpenter's own scheduler.
//
// Karpenter's answer is not one number. It orders pods of equal size by creation time and UID, which are accidents, and takes equally
// good zones in the order of a Go map. Over those accidents the answer to one question moves by none to six nodes. So the
// test asks in many orders and compares two things: the simulator with Karpenter on the same order, which is sharp, and what Replace says with
// the median of what Karpenter says, which is the promise.
package karpenter

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/roi/packing"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
)

// clusters is how many of the twenty are compared. The ordinary run takes those up to 2,500 pods; "make karpenter" takes all.
var clusters = flag.Int("clusters", 12, "number of generated clusters to compare, the smallest first")

// Sizes of the twenty clusters, by seed.
var sizes = []int{60, 120, 250, 400, 400, 800, 800, 1200, 1500, 2000, 2000, 2500, 3000, 3000, 4000, 5000, 5000, 7000, 9000, 10000}

// Orders that are asked for each question. More are added while the two are not within a node of each other: a few orders may by luck lie
// on one side, many do not. Of the larger clusters, where one order takes Karpenter up to a minute, the fewest that show anything.
const (
	fewest, fewestLarge = 4, 2
	large               = 2500
	most                = 40
)

// TestMain lets garbage grow: a fifth of the time of Karpenter's scheduler was the collector's.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	os.Exit(m.Run())
}

func TestSimulatorIsWithinOneNodeOfKarpenter(t *testing.T) {
	for i, n := range sizes[:min(*clusters, len(sizes))] {
		seed := uint64(i + 1)
		t.Run(fmt.Sprintf("seed %d with %d pods", seed, n), func(t *testing.T) {
			g := generate(seed, n)
			leave := terms.Change{Leaves: map[string]bool{}, Ztunnel: terms.DefaultZtunnel, CNI: terms.DefaultCNI}
			for j, p := range g.cluster.Pods {
				if p.Sidecar != terms.NoSidecar && j%5 != 0 {
					leave.Leaves[p.Workload] = true
				}
			}
			atLeast := fewest
			if n > large {
				atLeast = fewestLarge
			}
			compare(t, "as it is", g, terms.Change{}, nil, atLeast)
			compare(t, "after the change", g, leave, ambientDaemons(), atLeast)
		})
	}
}

// TestZonalVolumesNeedTheNodesThatKarpenterSays asks of three of the clusters what they need once most pods have a volume in a zone.
func TestZonalVolumesNeedTheNodesThatKarpenterSays(t *testing.T) {
	for _, seed := range []uint64{3, 5, 7} {
		g := generate(seed, sizes[seed-1]).withVolumes()
		compare(t, fmt.Sprintf("seed %d with %d volumes", seed, len(g.cluster.Volumes)), g, terms.Change{}, nil, fewest)
	}
}

func compare(t *testing.T, name string, g generated, change terms.Change, ambient []*corev1.Pod, atLeast int) {
	t.Helper()
	answer := packing.Replace(g.cluster, change)
	if n := len(answer.Unplaced); n != 0 {
		t.Fatalf("%s: the simulator left %d pods unplaced", name, n)
	}
	seen := answers{replace: answer.Nodes}
	for len(seen.karpenter) < most && (len(seen.karpenter) < atLeast || !seen.near()) {
		seen.ask(t, g, change, ambient)
	}
	t.Logf("%s: replace %d (%d to %d), karpenter %v, simulator in the same orders %v, binding %s", name,
		answer.Nodes, answer.Low, answer.High, seen.karpenter, seen.simulator, answer.Binding)
	if !seen.near() {
		t.Errorf("%s: over %d orders replace says %d nodes and karpenter %v in the median; in the same order the simulator says %+.1f in the median",
			name, len(seen.karpenter), answer.Nodes, median(seen.karpenter), median(seen.differences()))
	}
}

// answers are the nodes that one question took.
type answers struct {
	replace              int   // what Replace says
	karpenter, simulator []int // by order
}

// ask solves two further orders, side by side.
func (a *answers) ask(t *testing.T, g generated, change terms.Change, ambient []*corev1.Pod) {
	t.Helper()
	var theirs, ours [2]int
	var errs [2]error
	var wg sync.WaitGroup
	for i := range theirs {
		wg.Go(func() {
			same := g.reordered(uint64(len(a.karpenter) + i))
			ours[i] = packing.ReplaceInOrder(same.cluster, change).Nodes
			theirs[i], errs[i] = nodesOf(same, change, ambient)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
		a.karpenter, a.simulator = append(a.karpenter, theirs[i]), append(a.simulator, ours[i])
	}
}

// near tells that both comparisons agree to one node: the medians of the same question, and the median difference on the same order.
func (a answers) near() bool {
	d := median(a.differences())
	m := median(a.karpenter) - float64(a.replace)
	return d >= -1 && d <= 1 && m >= -1 && m <= 1
}

func (a answers) differences() []int {
	out := make([]int, len(a.karpenter))
	for i := range out {
		out[i] = a.simulator[i] - a.karpenter[i]
	}
	return out
}

func median(of []int) float64 {
	s := slices.Sorted(slices.Values(of))
	return float64(s[(len(s)-1)/2]+s[len(s)/2]) / 2
}

func TestNearForgivesLuckAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		answers answers
		want    bool
	}{
		"the same in every order":                             {answers{50, []int{50, 50, 50, 50}, []int{50, 50, 50, 50}}, true},
		"one node apart in every order":                       {answers{50, []int{49, 49, 49, 49}, []int{50, 50, 50, 50}}, true},
		"two nodes more than karpenter in every order":        {answers{50, []int{48, 48, 48, 48}, []int{50, 50, 50, 50}}, false},
		"two nodes fewer than karpenter in every order":       {answers{50, []int{52, 52, 52, 52}, []int{50, 50, 50, 50}}, false},
		"karpenter moves and the simulator moves with it":     {answers{49, []int{46, 51, 48, 50}, []int{46, 51, 48, 50}}, true},
		"one unlucky zone in a small cluster":                 {answers{50, []int{50, 50, 54, 50}, []int{50, 50, 50, 50}}, true},
		"right in the same orders, but replace takes an edge": {answers{53, []int{48, 51, 49, 50}, []int{48, 51, 49, 50}}, false},
		"replace right by luck, wrong in the same orders":     {answers{50, []int{50, 50, 50, 50}, []int{53, 53, 53, 53}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.answers.near(); got != c.want {
				t.Errorf("near is %v over differences %v", got, c.answers.differences())
			}
		})
	}
}

// BenchmarkTenThousandPods is the largest of the clusters; the budget is five seconds.
func BenchmarkTenThousandPods(b *testing.B) {
	g := generate(20, 10000)
	b.ReportAllocs()
	for b.Loop() {
		packing.Replace(g.cluster, terms.Change{})
	}
}
