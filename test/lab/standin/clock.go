package standin

// Stands in for: machines whose clocks are wrong, of which the lab has none: all its processes run by one clock.
//
// An API server that is ahead (or behind) is seen by its clients in three things, and all are shown by the
// proxy before it: the Date header; the timestamps that it writes itself (creationTimestamp, deletionTimestamp, the
// times in managedFields), which lie in the future; and a serving certificate, made a moment ago by its clock, that a
// client does not accept yet. The last is a fault of its own, since nothing else could be seen beside it.
//
// A node that is ahead is seen in what its kubelet and exporters say: node-exporter's clock, cAdvisor's samples, which bear
// the node's time (they alone do; other samples get the time of the Prometheus server), and the times at which its pods became
// ready, which do not fit their creation.
//
// Differs: the API server itself runs by the right clock, so what it decides by time (the age of tokens, leases, Jobs' deadlines,
// the schedule of CronJobs) is right, and tokens are never refused as too old or too new. Watches through the proxy show the
// true times. Pods that were ready before the fault are shown as if they had got ready under it. Prometheus' own clock is always
// right: for one that is not, ask it for another time (--until).

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ClockFault says which clocks are wrong.
type ClockFault struct {
	// API is by how much the API server's clock is ahead; negative: behind.
	API Duration `json:"api"`
	// Certificate is what is wrong with the validity of the serving certificate.
	Certificate string `json:"certificate"` // "", "not-yet-valid", "expired"
	// Node is by how much the clocks of Nodes are ahead; negative: behind.
	Node  Duration `json:"node"`
	Nodes []string `json:"nodes"`
}

func (f ClockFault) validate() error {
	switch f.Certificate {
	case "", certificateNotYet, certificateExpired:
		return nil
	}
	return fmt.Errorf("a certificate is %s or %s, not %q", certificateNotYet, certificateExpired, f.Certificate)
}

const (
	certificateNotYet  = "not-yet-valid"
	certificateExpired = "expired"
)

// serverTimes are the fields whose time the API server takes from its own clock.
var serverTimes = regexp.MustCompile(`"(creationTimestamp|deletionTimestamp|time)":\s*"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"`)

// askForJSON makes the server answer in a form whose timestamps can be moved.
func askForJSON(r *http.Request) {
	if isWatch(r) {
		return
	}
	r.Header.Del("Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept"), "protobuf") {
		r.Header.Set("Accept", "application/json")
	}
}

func isWatch(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }

// moveTimes moves the Date header of an answer and the server's timestamps in it.
func moveTimes(r *http.Response, skew time.Duration) error {
	r.Header.Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
	if isWatch(r.Request) || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body.Close()
	body = serverTimes.ReplaceAllFunc(body, func(field []byte) []byte {
		found := serverTimes.FindSubmatch(field)
		t, err := time.Parse(time.RFC3339, string(found[2]))
		if err != nil {
			return field // 2026-13-77: somebody else's text
		}
		name, _ := json.Marshal(string(found[1]))
		return fmt.Appendf(nil, "%s:%q", name, t.Add(skew).Format(time.RFC3339))
	})
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

// certificates makes serving certificates of the lab's authority whose validity is wrong.
type certificates struct {
	authority tls.Certificate
	right     tls.Certificate
}

// serve returns the certificate for the fault that is set.
func (c *certificates) serve(f ClockFault) (*tls.Certificate, error) {
	now := time.Now()
	switch f.Certificate {
	case certificateNotYet:
		return c.valid(now.Add(time.Hour), now.Add(24*time.Hour))
	case certificateExpired:
		return c.valid(now.Add(-24*time.Hour), now.Add(-time.Hour))
	}
	return &c.right, nil
}

func (c *certificates) valid(from, to time.Time) (*tls.Certificate, error) {
	right, err := x509.ParseCertificate(c.right.Certificate[0])
	if err != nil {
		return nil, err
	}
	authority, err := x509.ParseCertificate(c.authority.Certificate[0])
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	wrong := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: right.Subject, NotBefore: from, NotAfter: to,
		KeyUsage: right.KeyUsage, ExtKeyUsage: right.ExtKeyUsage, DNSNames: right.DNSNames, IPAddresses: right.IPAddresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, wrong, authority, &key.PublicKey, c.authority.PrivateKey)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
