package envoy

import (
	"bufio"
	"context"
	cryptotls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http2"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/generate"
)

const patience = 60 * time.Second

// payload is what a TCP request sends; it looks like neither TLS nor HTTP.
const payload = "\x00\x01oracle\n"

// Source ports are dealt out in turn, never by the kernel: an ext-authz provider knows a TCP request by its source address
// and port alone, so none may come twice within a batch.
const firstPort, portCount = 21000, 44000

var nextPort atomic.Uint32

// dial connects from the request's own source address. In the oracle's network namespace every address is local.
func dial(sourceIP, to string) (net.Conn, error) {
	port := firstPort + int(nextPort.Add(1)%portCount)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(sourceIP), Port: port}, Timeout: patience, Control: reuseAddress}
	return d.Dial("tcp", to)
}

// reuseAddress lets a source port serve again while an old connection from it is still in TIME_WAIT.
func reuseAddress(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
	return errors.Join(err, failed)
}

// toSidecar opens a connection as a client pod's traffic reaches the server's sidecar. closed is true when Envoy refused it.
func toSidecar(r *corpus.Request, port uint32, pki *PKI) (conn net.Conn, closed bool, err error) {
	c, err := dial(r.SourceIP, fmt.Sprintf("%s:%d", r.DestinationIP, port))
	if err != nil {
		return nil, false, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	local := c.LocalAddr().(*net.TCPAddr)
	if _, err := fmt.Fprintf(c, "PROXY TCP4 %s %s %d %d\r\n", r.SourceIP, r.DestinationIP, local.Port, r.DestinationPort); err != nil {
		return nil, isClosed(err), c.Close()
	}
	if r.SourcePrincipal == "" {
		return c, false, nil
	}
	cert, err := pki.Peer(r.SourcePrincipal)
	if err != nil {
		return nil, false, err
	}
	alpn := "istio-http/1.1"
	if r.Protocol == "tcp" {
		alpn = "istio"
	}
	t := cryptotls.Client(c, &cryptotls.Config{
		Certificates: []cryptotls.Certificate{*cert}, ServerName: r.SNI, NextProtos: []string{alpn},
		InsecureSkipVerify: true, // the peer is this run's own Envoy; the corpus is about the server's decision
	})
	if err := t.Handshake(); err != nil {
		_ = c.Close()
		if isClosed(err) {
			return nil, true, nil
		}
		return nil, false, fmt.Errorf("TLS handshake: %w", err)
	}
	return t, false, nil
}

// tunnels keeps one HBONE connection per client identity and address.
type tunnels struct {
	port  uint32
	pki   *PKI
	conns map[string]*http2.ClientConn
}

// open makes a CONNECT tunnel as ztunnel does: authority is the address and port that the client called, behind a waypoint
// the service's, at a sidecar the pod's.
func (t *tunnels) open(r *corpus.Request, authority, internal string, fresh bool) (net.Conn, string, error) {
	key := r.SourcePrincipal + "|" + r.SourceIP
	cc := t.conns[key]
	local := ""
	if cc == nil || fresh || !cc.CanTakeNewRequest() {
		cert, err := t.pki.Peer(r.SourcePrincipal)
		if err != nil {
			return nil, "", err
		}
		raw, err := dial(r.SourceIP, fmt.Sprintf("127.0.0.1:%d", t.port))
		if err != nil {
			return nil, "", err
		}
		local = raw.LocalAddr().String()
		tc := cryptotls.Client(raw, &cryptotls.Config{
			Certificates: []cryptotls.Certificate{*cert}, NextProtos: []string{"h2"},
			InsecureSkipVerify: true, // as in toSidecar
		})
		if err := tc.Handshake(); err != nil {
			return nil, "", fmt.Errorf("HBONE handshake: %w", err)
		}
		if cc, err = (&http2.Transport{}).NewClientConn(tc); err != nil {
			return nil, "", err
		}
		if !fresh {
			t.conns[key] = cc
		}
	}
	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodConnect, "https://"+authority, pr)
	if err != nil {
		return nil, "", err
	}
	req.Host = authority
	req.Header.Set(caseHeader, internal)
	resp, err := cc.RoundTrip(req)
	if err != nil {
		return nil, "", fmt.Errorf("CONNECT: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("CONNECT: status %d", resp.StatusCode)
	}
	tun := &tunnel{Reader: resp.Body, Writer: pw, close: func() { _ = pw.Close(); _ = resp.Body.Close() }}
	if fresh {
		inner := tun.close
		tun.close = func() { inner(); _ = cc.Close() }
	}
	return tun, local, nil
}

// tunnel is a CONNECT stream as a connection.
type tunnel struct {
	io.Reader
	io.Writer
	net.Conn // only the methods below are used
	close    func()
}

func (t *tunnel) Read(b []byte) (int, error)    { return t.Reader.Read(b) }
func (t *tunnel) Write(b []byte) (int, error)   { return t.Writer.Write(b) }
func (t *tunnel) Close() error                  { t.close(); return nil }
func (t *tunnel) SetDeadline(_ time.Time) error { return nil }

// askTCP sends some bytes and says whether they came back.
func askTCP(c net.Conn, data []byte) (bool, error) {
	done := time.AfterFunc(patience, func() { _ = c.Close() })
	defer done.Stop()
	if _, err := c.Write(data); err != nil {
		return false, unlessClosed(err)
	}
	buf := make([]byte, len(data))
	if _, err := io.ReadFull(c, buf); err != nil {
		if !done.Stop() {
			return false, errors.New("no answer in time")
		}
		return false, unlessClosed(err)
	}
	return string(buf) == string(data), nil
}

// askHTTP sends the request as it stands and gives the status, 0 when the connection was closed instead.
func askHTTP(c net.Conn, r *corpus.Request, id string) (int, error) {
	done := time.AfterFunc(patience, func() { _ = c.Close() })
	defer done.Stop()
	raw, err := requestBytes(r, id)
	if err != nil {
		return 0, err
	}
	if _, err := c.Write(raw); err != nil {
		return 0, unlessClosed(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: r.Method})
	if err != nil {
		if !done.Stop() {
			return 0, errors.New("no answer in time")
		}
		return 0, unlessClosed(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}

func requestBytes(r *corpus.Request, id string) ([]byte, error) {
	var h strings.Builder
	path := r.Path
	if r.JWT != nil {
		token, err := generate.Token(r.JWT, r.JWTState)
		if err != nil {
			return nil, err
		}
		kind, name, _ := strings.Cut(r.JWTFrom, ":")
		switch kind {
		case "":
			fmt.Fprintf(&h, "authorization: Bearer %s\r\n", token)
		case "header":
			fmt.Fprintf(&h, "%s: %s\r\n", name, token)
		case "cookie":
			fmt.Fprintf(&h, "cookie: %s=%s\r\n", name, token)
		case "param":
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			path += sep + name + "=" + token
		}
	}
	for k, v := range r.Headers {
		fmt.Fprintf(&h, "%s: %s\r\n", k, v)
	}
	if r.RemoteIP != "" {
		fmt.Fprintf(&h, "x-forwarded-for: %s\r\n", r.RemoteIP)
	}
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nhost: %s\r\n%s: %s\r\n%s\r\n", r.Method, path, r.Host, idHeader, id, h.String()), nil
}

// helloBytes is the first flight of a TLS client with the given server name.
func helloBytes(sni string) []byte {
	ours, theirs := net.Pipe()
	go func() {
		_ = cryptotls.Client(theirs, &cryptotls.Config{ServerName: sni, InsecureSkipVerify: true}).Handshake()
		_ = theirs.Close()
	}()
	buf := make([]byte, 64<<10)
	n, _ := ours.Read(buf)
	_ = ours.Close()
	return buf[:n]
}

func unlessClosed(err error) error {
	if isClosed(err) {
		return nil
	}
	return err
}

// isClosed says whether the other side ended the connection: what a denied TCP connection looks like.
func isClosed(err error) bool {
	var stream http2.StreamError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || errors.As(err, &stream)
}

func (t *tunnels) close() {
	for _, c := range t.conns {
		_ = c.Close()
	}
}
