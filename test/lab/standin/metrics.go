package standin

import (
	"context"
	"net/http"
)

// MetricsFault changes what the exporters say.
type MetricsFault struct {
	Model       string   `json:"model"`
	Missing     []string `json:"missing"`
	ClockSkew   Duration `json:"clockSkew"`
	SkewedNodes []string `json:"skewedNodes"`
}

func (f MetricsFault) validate() error { return nil }

// Exporters is every exporter of a cluster at one address.
type Exporters struct{}

// NewExporters prepares them.
func NewExporters(*World, *Control) *Exporters { return &Exporters{} }

// Run keeps the call graph fresh.
func (e *Exporters) Run(ctx context.Context) {}

func (e *Exporters) ServeHTTP(w http.ResponseWriter, r *http.Request) {}
