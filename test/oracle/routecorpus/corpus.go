// Package routecorpus is the file format of the corpus of routes: objects, calls, and what becomes of each call.
// internal/route/testdata/corpus/README.md describes it for readers.
package routecorpus

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
)

// Points that route a call.
const (
	Sidecar  = "sidecar"
	Waypoint = "waypoint"
	Gateway  = "gateway"
)

// Probes ask the backends to behave in another way than to answer with 200.
const (
	Fails = "503"   // they answer with 503
	Hangs = "hang"  // they do not answer
	Reset = "reset" // they close the connection
)

// Case is a set of objects beside those of base.yaml, with calls.
type Case struct {
	ID      string            `json:"id"`
	Objects []json.RawMessage `json:"objects"`
	Calls   []Call            `json:"calls"`
}

// Call is one request or connection, and its answer.
type Call struct {
	Point string `json:"point"`
	// By is the calling workload, the waypoint or the gateway, as NAMESPACE/NAME.
	By string `json:"by"`
	// To is the host that is called, of a Service or ServiceEntry; Port its port. At a gateway Port is the listener's.
	To        string            `json:"to,omitempty"`
	Port      int               `json:"port"`
	Protocol  string            `json:"protocol"`
	Method    string            `json:"method,omitempty"`
	Path      string            `json:"path,omitempty"`
	Authority string            `json:"authority,omitempty"`
	SNI       string            `json:"sni,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
	Probe     string            `json:"probe,omitempty"`
	Answer    Answer            `json:"answer"`
}

// Answer is what became of a call. What is the default, or as it was sent, is left out.
type Answer struct {
	// Status is the status that the caller saw; 0 for a connection that was closed, or that only moves bytes.
	Status   int    `json:"status,omitempty"`
	Location string `json:"location,omitempty"`
	Body     string `json:"body,omitempty"`
	// To are the destinations that the route has, with their weights.
	To []Share `json:"to,omitempty"`
	// Chosen is the index in To of the destination that this call went to.
	Chosen int `json:"chosen,omitempty"`
	// Path, Authority and Seen are what the backend saw: Seen lists the watched headers.
	Path      string   `json:"path,omitempty"`
	Authority string   `json:"authority,omitempty"`
	Seen      []string `json:"seen,omitempty"`
	// Back lists the watched headers of the response.
	Back []string `json:"back,omitempty"`
	// HTTP2 reports whether the backend was called by HTTP/2.
	HTTP2   bool   `json:"http2,omitempty"`
	Timeout string `json:"timeout,omitempty"`
	Retries string `json:"retries,omitempty"`
	// Tries counts what reached backends, where a probe made them fail.
	Tries   int      `json:"tries,omitempty"`
	Mirrors []string `json:"mirrors,omitempty"`
	Fault   string   `json:"fault,omitempty"`
	CORS    string   `json:"cors,omitempty"`
	Hash    string   `json:"hash,omitempty"`
}

// Share is a destination of a route.
type Share struct {
	// To names the pods and their port, or what stands outside; empty for no cluster.
	To     string `json:"to,omitempty"`
	Weight uint32 `json:"weight"`
	// Policy is how it is spoken to, by setting.
	Policy map[string]string `json:"policy,omitempty"`
}

// Watched are the headers of requests and responses that answers tell about.
var Watched = []string{"x-team", "x-user", "x-add", "x-set", "x-secret", "x-from"}

// Write writes cases as gzip JSON lines. The bytes depend on the cases alone.
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

// Lines gives each case of a written corpus as the line it has there, keyed by id; for telling which cases drifted.
func Lines(written []byte) (map[string]string, error) {
	cases, err := Read(bytes.NewReader(written))
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(cases))
	for _, c := range cases {
		text, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		out[c.ID] = string(text)
	}
	return out, nil
}
