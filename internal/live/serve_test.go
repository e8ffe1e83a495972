package live

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestServeShowsThePageToWhomItPrintedTheTokenFor(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var renders atomic.Int32
	ready, failures, done := make(chan string, 1), make(chan error, 100), make(chan error, 1)
	go func() {
		done <- Serve(ctx, ServeOptions{
			Listen: "127.0.0.1:0", Every: time.Millisecond, Ready: func(u string) { ready <- u }, Failed: func(err error) { failures <- err },
			Render: func(context.Context) ([]byte, error) {
				switch n := renders.Add(1); {
				case n == 1:
					return []byte("first"), nil
				case n < 5:
					return nil, errors.New("the cluster is gone")
				}
				return []byte("later"), nil
			},
		})
	}()
	address := <-ready
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, address string, change func(*http.Request)) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(r)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	if err := <-failures; !strings.Contains(err.Error(), "the cluster is gone") {
		t.Error(err)
	}
	for text := ""; text != "later"; { // a failure leaves the page before it; then the new one comes
		var code int
		if code, text = ask(http.MethodGet, address, nil); code != http.StatusOK || text != "first" && text != "later" {
			t.Fatalf("%d %q", code, text)
		}
	}
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	for name, c := range map[string]struct {
		method, address string
		change          func(*http.Request)
		want            int
	}{
		"without the token":     {"GET", "http://" + base.Host + "/", nil, 403},
		"with a wrong token":    {"GET", "http://" + base.Host + "/?token=x", nil, 403},
		"by another name":       {"GET", address, func(r *http.Request) { r.Host = "evil.example:80" }, 421},
		"for another origin":    {"GET", address, header("Origin", "http://evil.example"), 403},
		"for another site":      {"GET", address, header("Sec-Fetch-Site", "cross-site"), 403},
		"to write":              {"POST", address, nil, 405},
		"for what is not there": {"GET", strings.Replace(address, "/?", "/etc/passwd?", 1), nil, 404},
		"for the version":       {"GET", strings.Replace(address, "/?", "/version?", 1), header("Origin", "http://"+base.Host), 200},
	} {
		if code, text := ask(c.method, c.address, c.change); code != c.want {
			t.Errorf("%s: %d, want %d: %s", name, code, c.want, text)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, listen := range []string{"0.0.0.0:0", "10.0.0.1:80", "localhost", ":8080"} {
		if err := Serve(t.Context(), ServeOptions{Listen: listen}); err == nil {
			t.Errorf("%s is served on", listen)
		}
	}
}
