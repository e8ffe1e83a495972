package report_test

import (
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/sidestep-mesh/sidestep/internal/report"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

func TestFiguresAsPrometheusText(t *testing.T) {
	r := report.NewROIReport(roi.Report{
		Baseline: "abc",
		Rows: []roi.Row{{
			Name:     "requested CPU freed",
			Promised: terms.Known(12.5, "cores", "test"),
			Realised: terms.Missing("cores", "no pods could be listed"),
		}},
		Drift: []string{`it "drifted"`},
	}, nil, false)
	var out strings.Builder
	if err := r.Prometheus(&out); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(out.String()))
	if err != nil {
		t.Fatalf("Prometheus' own parser refuses it: %v\n%s", err, out.String())
	}
	if got := families["sidestep_roi_promised"].GetMetric()[0].GetGauge().GetValue(); got != 12.5 {
		t.Errorf("promised is %v, want 12.5", got)
	}
	if f, shown := families["sidestep_roi_realised"]; shown {
		t.Errorf("a figure without a value is shown: %v", f)
	}
	if got := families["sidestep_roi_drift_findings"].GetMetric()[0].GetGauge().GetValue(); got != 1 {
		t.Errorf("drift is %v, want 1", got)
	}
}
