//go:build lab

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	lab "github.com/sidestep-mesh/sidestep/test/lab"
	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

// ownerVariable makes this test binary start the lab in that folder, own it, and wait to be killed.
const ownerVariable = "SIDESTEP_E2E_OWN"

// ownIfAsked does not return in a process that was started as the owner of a lab.
func ownIfAsked() {
	dir := os.Getenv(ownerVariable)
	if dir == "" {
		return
	}
	if _, err := lab.Up(context.Background(), lab.Options{Dir: dir, Log: os.Stderr, Owned: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("up")
	select {}
}

// ownedElsewhere starts a lab that another process owns.
func ownedElsewhere(t *testing.T) (*lab.Lab, *exec.Cmd) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lab")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	owner := exec.CommandContext(t.Context(), program)
	owner.Env, owner.Stderr = append(os.Environ(), ownerVariable+"="+dir), t.Output()
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lab.Down(dir) }) // what a failed test leaves
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Fatalf("the other lab does not start: %v", err)
	}
	l, err := lab.Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l, owner
}

// Two labs side by side share nothing. In the second, parts are taken away; in the end its owner is killed, and it goes with it.
func TestASecondLab(t *testing.T) {
	l, owner := ownedElsewhere(t)
	t.Run("shares nothing with the first", func(t *testing.T) { sharesNothing(t, l) })
	t.Run("istiod can be taken away and brought back", func(t *testing.T) { withoutIstiod(t, l) })
	t.Run("Prometheus can be taken away and brought back", func(t *testing.T) { withoutPrometheus(t, l) })
	t.Run("a process that cannot start is named with its log", func(t *testing.T) { cannotStart(t, l) })
	t.Run("nothing is left when its owner is killed", func(t *testing.T) {
		processes := everyProcess(t, l)
		if err := owner.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = owner.Wait() // it was killed
		eventually(t.Context(), t, func(context.Context) error { return nothingLeft(l, processes) })
	})
}

func sharesNothing(t *testing.T, l *lab.Lab) {
	for name, port := range l.Ports {
		for other, taken := range shared.Ports {
			if port == taken {
				t.Errorf("both use port %d, for %s and %s", port, name, other)
			}
		}
	}
	ctx, client := useLab(t, l)
	if _, err := client.Kube.CoreV1().Namespaces().Get(ctx, "t15", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a namespace of the first lab in the second: %v", err)
	}
}

// A part that is taken away on purpose is no failure of the lab; what depends on it notices.
func withoutIstiod(t *testing.T, l *lab.Lab) {
	ctx, client := useLab(t, l)
	policy, err := cluster.Parse("test", []byte(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: default}
spec: {action: DENY, rules: [{from: [{source: {namespaces: [x]}}]}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	takeAway(ctx, t, l, lab.Istiod)
	if err := client.Apply(ctx, "test", policy); err == nil || !strings.Contains(err.Error(), "validation.istio.io") {
		t.Errorf("without istiod its webhook must refuse the policy: %v", err)
	}
	if err := l.Start(ctx, lab.Istiod); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, func(ctx context.Context) error { return client.Apply(ctx, "test", policy) })
	// It takes up its work where it left it.
	eventually(ctx, t, func(ctx context.Context) error {
		return hasCondition(ctx, client, scenario.Condition{
			Kind: "AuthorizationPolicy", Namespace: "default", Name: "p", Type: "ZtunnelAccepted", Status: "True", Reason: "Accepted",
		})
	})
}

func withoutPrometheus(t *testing.T, l *lab.Lab) {
	ctx, _ := useLab(t, l)
	forecast := func() string {
		return string(runSidestep(ctx, t, "roi", "forecast", "--kubeconfig", l.Kubeconfig, "--prometheus", l.Prometheus, "--window", "10m"))
	}
	const refused = "connection refused"
	takeAway(ctx, t, l, lab.Prometheus)
	if text := forecast(); !strings.Contains(text, refused) {
		t.Errorf("the forecast does not say that Prometheus is down:\n%s", text)
	}
	if err := l.Start(ctx, lab.Prometheus); err != nil {
		t.Fatal(err)
	}
	if text := forecast(); strings.Contains(text, refused) {
		t.Errorf("the forecast says that Prometheus is still down:\n%s", text)
	}
}

func takeAway(ctx context.Context, t *testing.T, l *lab.Lab, name string) {
	t.Helper()
	if err := l.Stop(ctx, name); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Process(name); err == nil {
		t.Errorf("%s still runs", name)
	}
}

func cannotStart(t *testing.T, l *lab.Lab) {
	takeAway(t.Context(), t, l, lab.Prometheus)
	config := filepath.Join(l.Dir, "prometheus.yml")
	right, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("scrape_configs: [{nonsense: 1}]"), 0o644); err != nil {
		t.Fatal(err)
	}
	err = l.Start(t.Context(), lab.Prometheus)
	if err == nil {
		t.Fatal("Prometheus started with a broken configuration")
	}
	for _, want := range []string{"prometheus (pid ", "exit status 2", l.LogFile(lab.Prometheus), "nonsense"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if err := os.WriteFile(config, right, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context(), lab.Prometheus); err != nil {
		t.Fatal(err)
	}
}
