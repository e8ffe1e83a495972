package live

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// ServeOptions say what Serve shows.
type ServeOptions struct {
	// Listen is an address of the loopback interface; port 0 takes a free one.
	Listen string
	// Every is how often Render is asked again.
	Every time.Duration
	// Render makes the page.
	Render func(context.Context) ([]byte, error)
	// Ready is told the address to open, with its token, once the first page is there; Failed what went wrong with a
	// later one, which the page before it outlives.
	Ready  func(url string)
	Failed func(error)
}

// Serve shows a page, read-only, on the loopback interface until ctx ends. Whoever asks needs the token, and a browser
// only gets an answer for a page of this very server: requests that another site makes (Origin, Sec-Fetch-Site) or that
// come by another name (Host, against DNS rebinding) are refused.
func Serve(ctx context.Context, o ServeOptions) error {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", o.Listen, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("listen on %s: only addresses of the loopback interface, such as 127.0.0.1:8080; to show the page to others, write it with -o html", o.Listen)
	}
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return fmt.Errorf("make a token: %w", err)
	}
	s := &pageServer{token: hex.EncodeToString(secret)}
	if err := s.render(ctx, o.Render); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", o.Listen, err)
	}
	s.host = listener.Addr().String()
	server := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	o.Ready("http://" + s.host + "/?token=" + s.token)
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return server.Close()
		case err := <-failed:
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return fmt.Errorf("serve: %w", err)
		case <-tick.C:
			if err := s.render(ctx, o.Render); err != nil && ctx.Err() == nil {
				o.Failed(err)
			}
		}
	}
}

// pageServer answers with the newest page.
type pageServer struct {
	token, host string

	mu   sync.RWMutex
	page []byte
	tag  string
}

func (s *pageServer) render(ctx context.Context, render func(context.Context) ([]byte, error)) error {
	page, err := render(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(page)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page, s.tag = page, hex.EncodeToString(sum[:8])
	return nil
}

func (s *pageServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	given := r.URL.Query().Get("token")
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	switch {
	case r.Host != s.host:
		http.Error(w, "this page is served as "+s.host+" only", http.StatusMisdirectedRequest)
		return
	case origin != "" && origin != "http://"+s.host, site != "" && site != "same-origin" && site != "none":
		http.Error(w, "other sites may not ask", http.StatusForbidden)
		return
	case subtle.ConstantTimeCompare([]byte(given), []byte(s.token)) != 1:
		http.Error(w, "open the address that sidestep serve printed: the token is missing or wrong", http.StatusForbidden)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "this page is read-only", http.StatusMethodNotAllowed)
		return
	}
	s.mu.RLock()
	page, tag := s.page, s.tag
	s.mu.RUnlock()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	switch r.URL.Path {
	case "/":
		h.Set("Content-Type", "text/html; charset=utf-8")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(page))
	case "/version":
		h.Set("Content-Type", "text/plain")
		fmt.Fprint(w, tag)
	default:
		http.NotFound(w, r)
	}
}
