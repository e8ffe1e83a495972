package live

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

type refusedError struct{ status int }

func (e *refusedError) Error() string { return fmt.Sprintf("HTTP %d", e.status) }

type notPrometheusError struct{ status int }

func (e *notPrometheusError) Error() string {
	return fmt.Sprintf("HTTP %d with an HTML page", e.status)
}

// whyFailed is an error from the API in one line that says what to do, and whether it makes further queries pointless.
func (p *Prom) whyFailed(err error) (why string, fatal bool) {
	var (
		refused *refusedError
		html    *notPrometheusError
		large   *http.MaxBytesError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		netErr  net.Error
		apiErr  *promv1.Error
	)
	switch {
	case errors.As(err, &refused):
		return fmt.Sprintf("%s refuses the credentials (HTTP %d): check token, user, client certificate or tenant", p.host, refused.status), true
	case errors.As(err, &html):
		return fmt.Sprintf("%s answers with a web page (HTTP %d), not the Prometheus API: check the address and its path prefix, or log in at the gateway before it", p.host, html.status), true
	case errors.As(err, &unknown), errors.As(err, &host):
		return fmt.Sprintf("%s: its certificate is not trusted (%v): give --prometheus-ca", p.host, err), true
	case errors.As(err, &large):
		return fmt.Sprintf("the answer is larger than %d MB", maxAnswer>>20), false
	case errors.Is(err, context.Canceled):
		return "cancelled", true
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer from %s within %s", p.host, p.timeout), false
	case errors.As(err, &apiErr):
		return p.whyRefused(apiErr)
	case errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Sprintf("no answer from %s within %s", p.host, p.timeout), false
	}
	text := err.Error()
	for _, sign := range []string{"connection refused", "no such host", "no route to host", "network is unreachable", "connection reset", "EOF"} {
		if strings.Contains(text, sign) {
			return fmt.Sprintf("%s cannot be reached (%s): check the address, or forward its port", p.host, sign), true
		}
	}
	return fmt.Sprintf("%s: %s", p.host, text), false
}

func (p *Prom) whyRefused(e *promv1.Error) (string, bool) {
	msg := e.Msg
	if e.Detail != "" {
		msg += ": " + firstLine(e.Detail)
	}
	switch {
	case strings.Contains(e.Msg, "404"):
		return fmt.Sprintf("%s has no Prometheus API at this address (HTTP 404): check the path prefix", p.host), true
	case e.Type == promv1.ErrExec && strings.Contains(msg, "too many samples"), strings.Contains(msg, "limit"):
		return "the server's limit: " + msg + "; choose a shorter --window", false
	case e.Type == promv1.ErrTimeout, strings.Contains(msg, "timed out"):
		return "the server gave up: " + msg + "; choose a shorter --window", false
	case e.Type == promv1.ErrBadData, strings.Contains(e.Msg, "400"):
		return "the server does not understand the query (too old?): " + msg, false
	}
	return fmt.Sprintf("%s: %s: %s", p.host, e.Type, msg), false
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if len(line) > 200 {
		line = line[:200] + "..."
	}
	return line
}
