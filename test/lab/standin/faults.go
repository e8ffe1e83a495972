// Package standin holds what a lab without kubelets, networks and traffic cannot
// have for real. Each stand-in has a file of its own, whose header says what it
// stands in for and where it differs.
package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Faults is everything that can be set wrong at run time. The zero value is a healthy lab.
type Faults struct {
	API     APIFault     `json:"api"`
	CNI     CNIFault     `json:"cni"`
	Kubelet KubeletFault `json:"kubelet"`
	GitOps  GitOpsFault  `json:"gitops"`
	Clock   ClockFault   `json:"clock"`
	Metrics MetricsFault `json:"metrics"`
}

// Duration is a time.Duration that reads and writes as "300ms".
type Duration time.Duration

// MarshalText writes the form that time.ParseDuration reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(raw []byte) error {
	parsed, err := time.ParseDuration(string(raw))
	*d = Duration(parsed)
	return err
}

// Control is the HTTP interface to the faults: GET and PUT the whole of them.
type Control struct {
	mu      sync.Mutex
	faults  Faults
	changed chan struct{} // closed and replaced at every change

	// Before, when set, runs before faults that came by HTTP take effect; its error refuses them.
	Before func(context.Context, Faults) error
}

// NewControl starts with no fault.
func NewControl() *Control { return &Control{changed: make(chan struct{})} }

// Faults returns what is set now.
func (c *Control) Faults() Faults {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults
}

// Changed returns a channel that is closed at the next change.
func (c *Control) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Set replaces all faults.
func (c *Control) Set(f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = f
	close(c.changed)
	c.changed = make(chan struct{})
}

// ServeHTTP answers GET and PUT.
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(c.Faults())
	case http.MethodPut:
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		var f Faults
		err := decoder.Decode(&f)
		if err == nil {
			err = errors.Join(f.API.validate(), f.Metrics.validate(), f.CNI.validate(), f.Clock.validate())
		}
		if err == nil && c.Before != nil {
			err = c.Before(r.Context(), f)
		}
		if err != nil {
			http.Error(w, fmt.Sprintf("faults: %v", err), http.StatusBadRequest)
			return
		}
		c.Set(f)
	default:
		http.Error(w, "GET or PUT", http.StatusMethodNotAllowed)
	}
}
