// Package page looks at the page in a real browser.
package page

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/sidestep-mesh/sidestep/internal/cli"
)

var shots = flag.String("shots", "", "keep screenshots in this folder")

// render writes the page of a mesh and returns its file.
func render(t testing.TB, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	run := func(args ...string) []byte {
		var out, errs bytes.Buffer
		env := &cli.Env{Args0: "sidestep", Dir: dir, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Now: time.Now}
		if code := cli.Run(context.Background(), env, args); code == cli.ExitError {
			t.Fatalf("sidestep %s: %s", strings.Join(args, " "), errs.String())
		}
		return out.Bytes()
	}
	run("demo", "--out", "mesh")
	file := filepath.Join(dir, "page.html")
	if err := os.WriteFile(file, run(args...), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// browse opens a browser of its own.
func browse(t testing.TB) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.ExecPath("chromium"))
	ctx, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	ctx, end = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(end)
	return ctx
}

func do(t testing.TB, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

func TestPage(t *testing.T) {
	for name, args := range map[string][]string{
		"audit": {"audit", "-f", "mesh", "-o", "html"},
		"plan":  {"plan", "-f", "mesh", "-o", "html"},
	} {
		t.Run(name, func(t *testing.T) { judge(t, name, render(t, args...)) })
	}
}

func judge(t *testing.T, name, file string) {
	ctx := browse(t)
	var mu sync.Mutex
	var asked []string
	chromedp.ListenTarget(ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, e.Request.URL)
		}
	})
	do(t, ctx, network.Enable(), chromedp.EmulateViewport(1200, 900), chromedp.Navigate("file://"+file), chromedp.WaitReady("#shown"))

	t.Run("a filter leaves exactly its verdict", func(t *testing.T) {
		for _, verdict := range []string{"ambient", "waypoint", "sidecar", "none"} {
			var wrong, left, all int
			button := `.filter button[data-verdict="` + verdict + `"]`
			do(t, ctx, chromedp.Click(button),
				chromedp.Evaluate(`document.querySelectorAll('tr[data-verdict]:not([hidden])').length`, &left),
				chromedp.Evaluate(`document.querySelectorAll('tr[data-verdict="`+verdict+`"]').length`, &all),
				chromedp.Evaluate(`[...document.querySelectorAll('tr[data-verdict]:not([hidden])')].filter(r => r.dataset.verdict !== '`+verdict+`').length`, &wrong),
				chromedp.Click(button))
			if wrong != 0 || left != all || all == 0 {
				t.Errorf("%s leaves %d of %d rows, %d of them of another verdict", verdict, left, all, wrong)
			}
		}
		var left int
		do(t, ctx, chromedp.SendKeys("#filter", "payments ledger"), chromedp.Evaluate(`document.querySelectorAll('tr[data-verdict]:not([hidden])').length`, &left))
		if left != 1 {
			t.Errorf("the words payments ledger leave %d rows", left)
		}
		do(t, ctx, chromedp.Evaluate(`box.value = ""; apply()`, nil))
	})

	t.Run("axe-core finds no violation", func(t *testing.T) {
		script, err := os.ReadFile(os.Getenv("AXE"))
		if err != nil {
			t.Fatalf("axe-core, named by AXE: %v", err)
		}
		for _, scheme := range []string{"light", "dark"} {
			var text string
			do(t, ctx, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.Evaluate(`window.scrollTo(0, 0)`, nil), // what the filter covers has no background of its own
				// axe-core notes where everything is once: what is laid out only when it is scrolled to would be looked for elsewhere.
				chromedp.Evaluate(`document.querySelectorAll("section.ns").forEach(s => { s.style.contentVisibility = "visible" })`, nil),
				chromedp.Evaluate(string(script), nil),
				chromedp.Evaluate(`axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}).then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + ": " + n.failureSummary)}))))`,
					&text, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
			var violations []any
			if err := json.Unmarshal([]byte(text), &violations); err != nil {
				t.Fatal(err)
			}
			if len(violations) > 0 {
				t.Errorf("%s: %s", scheme, text)
			}
		}
	})

	t.Run("it looks the same twice, in every form", func(t *testing.T) {
		for form, actions := range map[string][]chromedp.Action{
			"light":  {chromedp.EmulateViewport(1200, 900), media("screen", "light")},
			"dark":   {chromedp.EmulateViewport(1200, 900), media("screen", "dark")},
			"narrow": {chromedp.EmulateViewport(320, 900), media("screen", "light")},
			"print":  {chromedp.EmulateViewport(1000, 1400), media("print", "light")},
		} {
			var first, second []byte
			var wide string
			do(t, ctx, actions...)
			do(t, ctx, chromedp.Evaluate(`document.activeElement.blur(); window.scrollTo(0, 0)`, nil)) // a caret blinks
			do(t, ctx, chromedp.CaptureScreenshot(&first), chromedp.CaptureScreenshot(&second),
				chromedp.Evaluate(`document.documentElement.scrollWidth <= document.documentElement.clientWidth ? "" :
					[...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map(e => e.outerHTML.slice(0, 200)).join("\n")`, &wide))
			if !bytes.Equal(first, second) {
				t.Errorf("%s: two pictures differ", form)
			}
			if wide != "" {
				t.Errorf("%s: the page is wider than the window, by\n%s", form, wide)
			}
			if *shots != "" {
				if err := os.WriteFile(filepath.Join(*shots, name+"-"+form+".png"), first, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	})

	mu.Lock()
	defer mu.Unlock()
	for _, url := range asked {
		if !strings.HasPrefix(url, "file://") && !strings.HasPrefix(url, "data:") {
			t.Errorf("the page asks for %s", url)
		}
	}
	if len(asked) == 0 {
		t.Error("no request was seen, not even the page's own")
	}
}

func media(kind, scheme string) chromedp.Action {
	return emulation.SetEmulatedMedia().WithMedia(kind).WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}})
}

// BenchmarkPage reports what a page of ten demos, 4,000 services, costs: bytes, milliseconds to the first paint
// and milliseconds for a filter.
func BenchmarkPage(b *testing.B) {
	for b.Loop() {
		file := renderLarge(b)
		info, err := os.Stat(file)
		if err != nil {
			b.Fatal(err)
		}
		ctx := browse(b)
		var paint, filter float64
		do(b, ctx, chromedp.EmulateViewport(1200, 900), chromedp.Navigate("file://"+file), chromedp.WaitReady("#shown"),
			chromedp.Sleep(time.Second), // the entry of a paint is written after it
			chromedp.Evaluate(`performance.getEntriesByName("first-contentful-paint")[0].startTime`, &paint),
			chromedp.Evaluate(`(() => { const t = performance.now(); box.value = "payments"; apply(); document.body.offsetHeight; return performance.now() - t; })()`, &filter))
		b.ReportMetric(float64(info.Size())/1e6, "MB")
		b.ReportMetric(paint, "ms-paint")
		b.ReportMetric(filter, "ms-filter")
	}
}

// renderLarge audits ten copies of the demo in one mesh, each with namespaces of its own.
func renderLarge(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	small := filepath.Dir(render(b, "demo", "--list"))
	err := filepath.WalkDir(filepath.Join(small, "mesh"), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		short, _ := filepath.Rel(filepath.Join(small, "mesh"), file)
		for i := range 10 {
			copied := string(text)
			if !strings.HasPrefix(short, "istio-") && i > 0 {
				copied = regexp.MustCompile(`(namespace: |  name: )([a-z]+)\b`).ReplaceAllString(copied, fmt.Sprintf("${1}${2}%d", i))
			}
			if i > 0 && strings.HasPrefix(short, "istio-") {
				continue
			}
			to := filepath.Join(dir, fmt.Sprintf("mesh%d", i), short)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(to, []byte(copied), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	var out, errs bytes.Buffer
	env := &cli.Env{Args0: "sidestep", Dir: dir, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Now: time.Now}
	if code := cli.Run(context.Background(), env, []string{"audit", "-f", ".", "-o", "html"}); code == cli.ExitError {
		b.Fatal(errs.String())
	}
	file := filepath.Join(dir, "page.html")
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d rows", strings.Count(out.String(), "<tr data-verdict="))
	return file
}
