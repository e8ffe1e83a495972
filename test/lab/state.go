// Package lab starts a real Kubernetes and Istio control plane on one machine,
// without a container engine, and watches over it.
//
// The processes belong to a supervisor, a child process of its own session, so
// that a lab outlives the command that started it and dies as one. What stands
// in for the parts that cannot be had this way is in package standin.
package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// State describes a running lab; it is the file lab.json in the lab's folder.
type State struct {
	// Dir holds everything of this lab: data, logs, keys.
	Dir string `json:"dir"`
	// Kubeconfig leads through the API proxy, where faults can be set. It is for the program under test.
	Kubeconfig string `json:"kubeconfig"`
	// DirectKubeconfig leads to kube-apiserver itself. The lab's own parts use it, so that faults never hit them.
	DirectKubeconfig string `json:"directKubeconfig"`

	APIServer  string `json:"apiServer"`  // https URL of kube-apiserver
	APIProxy   string `json:"apiProxy"`   // https URL of the fault proxy before it
	Prometheus string `json:"prometheus"` // http URL
	IstiodHTTP string `json:"istiodHTTP"` // http URL: /ready, /debug/...
	IstiodGRPC string `json:"istiodGRPC"` // host:port of plaintext xDS
	Metrics    string `json:"metrics"`    // http URL of the metrics stand-in
	Supervisor string `json:"supervisor"` // http URL of the supervisor: faults, status

	Ports map[string]int `json:"ports"`
	Bin   Bin            `json:"bin"`
}

func (s *State) path(elem ...string) string {
	return filepath.Join(append([]string{s.Dir}, elem...)...)
}

// LogFile is where the named process writes.
func (s *State) LogFile(process string) string { return s.path("log", process+".log") }

func (s *State) pidFile(process string) string { return s.path("run", process+".pid") }

// portNames lists every port of a lab.
var portNames = []string{
	"etcd-client", "etcd-peer", "apiserver", "apiproxy", "controller-manager", "scheduler", "kwok",
	"istiod-http", "istiod-grpc", "istiod-secure-grpc", "istiod-https", "istiod-monitoring",
	"prometheus", "metrics", "supervisor",
}

// newState makes the folder and picks free ports.
func newState(dir string, bin Bin) (*State, error) {
	s := &State{Dir: dir, Bin: bin, Ports: map[string]int{}}
	for _, sub := range []string{"log", "run", "pki", "etcd", "prometheus", "work"} {
		if err := os.MkdirAll(s.path(sub), 0o700); err != nil {
			return nil, err
		}
	}
	if err := s.pickPorts(); err != nil {
		return nil, err
	}
	s.Kubeconfig, s.DirectKubeconfig = s.path("kubeconfig"), s.path("kubeconfig.direct")
	s.APIServer = "https://" + s.addr("apiserver")
	s.APIProxy = "https://" + s.addr("apiproxy")
	s.Prometheus = "http://" + s.addr("prometheus")
	s.IstiodHTTP = "http://" + s.addr("istiod-http")
	s.IstiodGRPC = s.addr("istiod-grpc")
	s.Metrics = "http://" + s.addr("metrics")
	s.Supervisor = "http://" + s.addr("supervisor")
	return s, nil
}

// pickPorts takes free ports from below the range out of which the kernel serves
// outgoing connections: one of those could take a port between now and the start of its process.
func (s *State) pickPorts() error {
	const first, last, attempts = 15000, 32000, 1000
	for range attempts {
		port := first + rand.IntN(last-first)
		name := portNames[len(s.Ports)]
		l, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil || slices.Contains(slices.Collect(maps.Values(s.Ports)), port) {
			continue
		}
		l.Close()
		s.Ports[name] = port
		if len(s.Ports) == len(portNames) {
			return nil
		}
	}
	return fmt.Errorf("no free ports between %d and %d", first, last)
}

func (s *State) addr(port string) string { return "127.0.0.1:" + s.port(port) }

func (s *State) port(name string) string { return strconv.Itoa(s.Ports[name]) }

func (s *State) save() error { return s.writeJSON("lab.json", s) }

// writeJSON writes a file of the lab by rename, so that a reader sees the whole of it or none.
func (s *State) writeJSON(name string, content any) error {
	raw, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return err
	}
	tmp := s.path(name + ".tmp")
	if err := os.WriteFile(tmp, raw, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, s.path(name))
}

func loadState(dir string) (*State, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "lab.json"))
	if err != nil {
		return nil, err
	}
	s := &State{}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "lab.json"), err)
	}
	return s, nil
}
