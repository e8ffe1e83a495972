package roi

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// ProxyState is the mean of the sidecars that stay, at one time.
type ProxyState struct {
	Pods          int     `json:"pods"`
	CPUCores      float64 `json:"cpuCores"`    // per pod
	MemoryBytes   float64 `json:"memoryBytes"` // per pod
	RPS           float64 `json:"rps"`         // per pod; 0 when not known
	HasCPU        bool    `json:"hasCPU"`
	HasMemory     bool    `json:"hasMemory"`
	IstiodMemory  float64 `json:"istiodMemoryBytes"`
	PushesPerHour float64 `json:"pushesPerHour"`
}

// Limits of growth that is called a tax.
const (
	taxShare  = 0.25
	taxMemory = 20 << 20 // bytes per sidecar
	taxCPU    = 0.005    // cores per sidecar
)

// HybridTax tells whether the sidecars that stay became dearer once ambient was switched on. With PILOT_ENABLE_AMBIENT all sidecars
// subscribe to workload discovery: istio#60757 reports up to ten times the CPU, istio#58457 70 MB to 450 MB when idle.
type HybridTax struct {
	Verdict string       `json:"verdict"` // none, tax, insufficient data
	Why     string       `json:"why"`
	CPU     terms.Figure `json:"cpuGrowth"`
	Memory  terms.Figure `json:"memoryGrowth"`
	Remedy  []string     `json:"remedy,omitempty"`
}

// DetectHybridTax compares the sidecars that stay with themselves before. CPU is compared per request where the rate is known on both sides, so that
// more traffic is not called a tax.
func DetectHybridTax(before, after ProxyState) HybridTax {
	t := HybridTax{CPU: terms.Missing("cores", "not measured on both sides"), Memory: terms.Missing("GiB", "not measured on both sides")}
	if after.Pods == 0 {
		t.Verdict, t.Why = "none", "no sidecar is left"
		return t
	}
	taxed := []string{}
	if before.HasCPU && after.HasCPU {
		expected := before.CPUCores
		note := "mean per sidecar, not normalised: request rates are not known"
		if scale, ok := terms.Ratio(after.RPS, before.RPS); ok && after.RPS > 0 {
			// Idle cost does not grow with traffic: scaling the whole only errs towards calling less a tax.
			if scale > 1 {
				expected *= scale
			}
			note = fmt.Sprintf("mean per sidecar, at %.2f times the requests", scale)
		}
		growth := after.CPUCores - expected
		t.CPU = terms.Known(growth*float64(after.Pods), "cores", fmt.Sprintf("%d sidecars x (%s - %s) cores, %s", after.Pods, terms.Number(after.CPUCores), terms.Number(expected), note))
		if share, ok := terms.Ratio(growth, expected); ok && share > taxShare && growth > taxCPU {
			taxed = append(taxed, fmt.Sprintf("CPU per sidecar %+.0f%%", share*100))
		}
	}
	if before.HasMemory && after.HasMemory {
		growth := after.MemoryBytes - before.MemoryBytes
		t.Memory = terms.Known(growth*float64(after.Pods)/terms.GiB, "GiB", fmt.Sprintf("%d sidecars x (%s - %s) MiB", after.Pods, terms.Number(after.MemoryBytes/(1<<20)), terms.Number(before.MemoryBytes/(1<<20))))
		if share, ok := terms.Ratio(growth, before.MemoryBytes); ok && share > taxShare && growth > taxMemory {
			taxed = append(taxed, fmt.Sprintf("memory per sidecar %+.0f%%", share*100))
		}
	}
	switch {
	case len(taxed) > 0:
		t.Verdict, t.Why = "tax", fmt.Sprint("no-go for the next wave: ", taxed)
		t.Remedy = []string{"scope the remaining sidecars with Sidecar resources so that they hear of fewer workloads",
			"turn HBONE off for sidecars that no ambient workload calls", "move the remaining sidecars sooner rather than later"}
	case t.CPU.Value == nil && t.Memory.Value == nil:
		t.Verdict, t.Why = string(latency.Insufficient), "proxy usage is missing before or after"
	default:
		t.Verdict, t.Why = "none", fmt.Sprintf("the %d sidecars that stay cost what they did, within %d%%", after.Pods, int(taxShare*100))
	}
	if before.IstiodMemory > 0 && after.IstiodMemory > before.IstiodMemory*(1+taxShare) {
		t.Why += fmt.Sprintf("; istiod's memory grew from %s to %s MiB", terms.Number(before.IstiodMemory/(1<<20)), terms.Number(after.IstiodMemory/(1<<20)))
	}
	if before.PushesPerHour > 0 && after.PushesPerHour > before.PushesPerHour*(1+taxShare) {
		t.Why += fmt.Sprintf("; istiod pushes grew from %s to %s per hour", terms.Number(before.PushesPerHour), terms.Number(after.PushesPerHour))
	}
	return t
}

// StateOf averages the sidecars among mesh pods.
func StateOf(pods []MeshPod, rps float64, pushesPerHour float64) ProxyState {
	s := ProxyState{PushesPerHour: pushesPerHour}
	cpu, mem := 0, 0
	for _, p := range pods {
		if p.Role == terms.Istiod && p.Use.clean().HasMemory {
			s.IstiodMemory += p.Use.Memory
		}
		if p.Role != terms.Application {
			continue
		}
		s.Pods++
		u := p.Use.clean()
		if u.HasCPU {
			cpu, s.CPUCores = cpu+1, s.CPUCores+u.CPU
		}
		if u.HasMemory {
			mem, s.MemoryBytes = mem+1, s.MemoryBytes+u.Memory
		}
	}
	s.HasCPU, s.HasMemory = cpu > 0, mem > 0
	if cpu > 0 {
		s.CPUCores /= float64(cpu)
	}
	if mem > 0 {
		s.MemoryBytes /= float64(mem)
	}
	if s.Pods > 0 {
		s.RPS = rps / float64(s.Pods)
	}
	return s
}
