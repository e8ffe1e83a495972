// Package corpus is the file format of the authorization corpus: policies, requests, and what each enforcement point
// answers. internal/authz/testdata/corpus/README.md describes it for readers.
package corpus

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
)

// Enforcement points, as they are spelled in Case.Answers.
const (
	Sidecar = "sidecar"
	// SidecarHBONE is the sidecar reached through a tunnel: the way ambient clients come.
	SidecarHBONE = "sidecar-hbone"
	Ztunnel      = "ztunnel"
	Waypoint     = "waypoint"
)

// Answers that need no ext-authz provider.
const (
	Allow         = "allow"
	Deny          = "deny"
	NotApplicable = "n/a"
)

// Case is one policy set with its requests and their answers.
type Case struct {
	ID           string              `json:"id"`
	Policies     []json.RawMessage   `json:"policies"`
	Invalid      []Invalid           `json:"invalid,omitempty"`
	Mesh         Mesh                `json:"mesh"`
	Workload     Workload            `json:"workload"`
	Service      Service             `json:"service"`
	Waypoint     Waypnt              `json:"waypoint"`
	GatewayClass string              `json:"gatewayClass"`
	Requests     []Request           `json:"requests"`
	Answers      map[string][]string `json:"answers"`
}

// Invalid names a policy that istiod's validation refuses, as Kind/namespace/name.
type Invalid struct {
	Policy  string `json:"policy"`
	Message string `json:"message"`
}

// Mesh is the part of the mesh configuration that authorization reads.
type Mesh struct {
	RootNamespace      string   `json:"rootNamespace"`
	TrustDomain        string   `json:"trustDomain"`
	TrustDomainAliases []string `json:"trustDomainAliases,omitempty"`
	ExtensionProviders []string `json:"extensionProviders,omitempty"`
}

// Workload is the destination pod.
type Workload struct {
	Namespace      string            `json:"namespace"`
	Labels         map[string]string `json:"labels"`
	ServiceAccount string            `json:"serviceAccount"`
	IP             string            `json:"ip"`
}

// Service is the one that selects the workload and is bound to the waypoint.
type Service struct {
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	Port       int    `json:"port"`
	TargetPort int    `json:"targetPort"`
	IP         string `json:"ip"`
}

// Waypnt is the waypoint Gateway that the service is bound to.
type Waypnt struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// Request is one HTTP request or TCP connection.
type Request struct {
	Protocol        string            `json:"protocol"`
	SourcePrincipal string            `json:"sourcePrincipal,omitempty"`
	SourceIP        string            `json:"sourceIP"`
	RemoteIP        string            `json:"remoteIP,omitempty"`
	DestinationIP   string            `json:"destinationIP"`
	DestinationPort int               `json:"destinationPort"`
	ServicePort     int               `json:"servicePort"`
	SNI             string            `json:"sni,omitempty"`
	Method          string            `json:"method,omitempty"`
	Path            string            `json:"path,omitempty"`
	Host            string            `json:"host,omitempty"`
	Headers         map[string]string `json:"headers,omitempty"`
	JWT             map[string]any    `json:"jwt,omitempty"`
	JWTState        string            `json:"jwtState,omitempty"`
	JWTFrom         string            `json:"jwtFrom,omitempty"`
}

// Write writes cases as gzip JSON lines. The bytes depend on the cases alone: no time, no name in the gzip header.
func Write(w io.Writer, cases []*Case) error {
	zw, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(zw)
	enc.SetEscapeHTML(false)
	for _, c := range cases {
		if err := enc.Encode(c); err != nil {
			return fmt.Errorf("case %s: %w", c.ID, err)
		}
	}
	return zw.Close()
}

// Read reads what Write wrote.
func Read(r io.Reader) ([]*Case, error) {
	zr, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	var cases []*Case
	dec := json.NewDecoder(bufio.NewReaderSize(zr, 1<<20))
	for {
		c := &Case{}
		if err := dec.Decode(c); err == io.EOF {
			return cases, nil
		} else if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(cases)+1, err)
		}
		cases = append(cases, c)
	}
}

// Lines gives each case as the line it has in the file, keyed by id; for telling which cases drifted.
func Lines(cases []*Case) (map[string]string, error) {
	out := make(map[string]string, len(cases))
	for _, c := range cases {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(c); err != nil {
			return nil, err
		}
		out[c.ID] = b.String()
	}
	return out, nil
}
