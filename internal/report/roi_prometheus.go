package report

import (
	"io"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	"google.golang.org/protobuf/proto"
)

// Prometheus writes the figures in Prometheus' text format, for a textfile collector or a push gateway, so
// that dashboards and alerts can follow promise and return. A figure without a value has no sample: an
// absent series is not zero. The unit is a label, since rungs differ in it.
func (r *ROI) Prometheus(w io.Writer) error {
	for _, family := range r.families() {
		if len(family.GetMetric()) == 0 {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return err
		}
	}
	return nil
}

func (r *ROI) families() []*dto.MetricFamily {
	switch d := r.document.(type) {
	case roi.Forecast:
		return []*dto.MetricFamily{
			ladderFamily("sidestep_roi_forecast", "What the planned change would free, by rung of the savings ladder.", d.Ladder),
			accountFamily(d.Accounts),
		}
	case roi.Report:
		promised := gaugeFamily("sidestep_roi_promised", "What the baseline promised.")
		realised := gaugeFamily("sidestep_roi_realised", "What was measured since.")
		for _, row := range d.Rows {
			addSample(promised, row.Promised, "name", row.Name, "baseline", d.Baseline)
			addSample(realised, row.Realised, "name", row.Name, "baseline", d.Baseline)
		}
		drift := gaugeFamily("sidestep_roi_drift_findings", "Number of ways in which the return has drifted from the promise.")
		addSample(drift, terms.Known(float64(len(d.Drift)), "findings", ""), "baseline", d.Baseline)
		return []*dto.MetricFamily{
			ladderFamily("sidestep_roi_measured", "What the change has freed, by rung of the savings ladder.", d.Ladder),
			promised, realised, drift, accountFamily(d.Accounts),
		}
	}
	return nil
}

func ladderFamily(name, help string, ladder []roi.Rung) *dto.MetricFamily {
	f := gaugeFamily(name, help)
	for _, rung := range ladder {
		for _, line := range rung.Lines {
			addSample(f, line.Figure, "rung", rung.Name, "name", line.Name)
		}
	}
	return f
}

func accountFamily(accounts []roi.Account) *dto.MetricFamily {
	f := gaugeFamily("sidestep_roi_mesh_resources", "CPU and memory of the mesh's own containers, by role.")
	for _, a := range accounts {
		role, sidecar := string(a.Role), string(a.Sidecar)
		addSample(f, a.CPURequests, "role", role, "sidecar", sidecar, "name", "cpu requests")
		addSample(f, a.MemoryRequests, "role", role, "sidecar", sidecar, "name", "memory requests")
		addSample(f, a.CPUUsage, "role", role, "sidecar", sidecar, "name", "cpu usage")
		addSample(f, a.MemoryUsage, "role", role, "sidecar", sidecar, "name", "memory usage")
	}
	return f
}

func gaugeFamily(name, help string) *dto.MetricFamily {
	return &dto.MetricFamily{Name: proto.String(name), Help: proto.String(help), Type: dto.MetricType_GAUGE.Enum()}
}

// addSample adds the figure with its unit and further labels, given as name, value, name, value.
func addSample(f *dto.MetricFamily, figure terms.Figure, labels ...string) {
	if figure.Value == nil {
		return
	}
	m := &dto.Metric{Gauge: &dto.Gauge{Value: proto.Float64(*figure.Value)}}
	for i := 0; i+1 < len(labels); i += 2 {
		m.Label = append(m.Label, &dto.LabelPair{Name: proto.String(labels[i]), Value: proto.String(labels[i+1])})
	}
	m.Label = append(m.Label, &dto.LabelPair{Name: proto.String("unit"), Value: proto.String(figure.Unit)})
	f.Metric = append(f.Metric, m)
}
