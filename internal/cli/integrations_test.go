package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const integrations = "../../integrations"

// stub makes an executable of a test's own.
func stub(t *testing.T, dir, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/bash\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// builtProgram builds the program into a folder to put on the PATH.
func builtProgram(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-w", "-o", filepath.Join(dir, "sidestep"), "../../cmd/sidestep")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return dir
}

// What the GitHub action, the GitLab template and the pre-commit hook run is run here on a Git history of three
// commits: what was there when the gate was adopted, one that brings nothing new, and one that brings a new finding.
func TestTheGateOnAGitHistory(t *testing.T) {
	bin, repo := builtProgram(t), t.TempDir()
	script, err := filepath.Abs(filepath.Join(integrations, "audit.sh"))
	if err != nil {
		t.Fatal(err)
	}
	run := func(want int, env []string, name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, args...)
		c.Dir = repo
		c.Env = append(os.Environ(), append(env, "PATH="+bin+":"+os.Getenv("PATH"))...)
		out, err := c.CombinedOutput()
		if got := c.ProcessState.ExitCode(); got != want {
			t.Fatalf("%s %s: %v, exit code %d, want %d\n%s", name, strings.Join(args, " "), err, got, want, out)
		}
		return string(out)
	}
	commit := func(file, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(repo, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repo, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		run(0, nil, "git", "add", "-A")
		run(0, nil, "git", "-c", "user.name=t", "-c", "user.email=t@example.test", "commit", "-qm", "change "+file)
	}
	run(0, nil, "git", "init", "-q")
	commit("mesh/shop.yaml", shopWithFilter)
	run(2, []string{"SIDESTEP_PATH=mesh"}, script)

	run(0, nil, filepath.Join(bin, "sidestep"), "audit", "-f", "mesh", "--write-baseline", "known.json")
	commit(".sidestep.yaml", "paths: [mesh]\nbaseline: known.json\n")
	run(0, []string{"SIDESTEP_PATH=mesh"}, script)

	run(0, nil, "git", "worktree", "add", "-q", filepath.Join(repo, ".git", "base"), "HEAD")
	commit("mesh/deny.yaml", denyByPath)
	out := run(2, []string{"SIDESTEP_PATH=mesh", "SIDESTEP_BASE=.git/base/mesh"}, script)
	if !strings.Contains(out, "Access: FAIL") || !strings.Contains(out, "SS201") || strings.Contains(out, "SS501") {
		t.Errorf("the comment is\n%s", out)
	}

	// The comment is posted once, and updated only when its text changed.
	stub(t, bin, "gh", `echo "$*" >> gh.log
case "$*" in
*--method*) for a; do case $a in body=@*) cp "${a#body=@}" posted.md;; esac; done;;
*--jq\ .body) cat posted.md;;
*) [ ! -e posted.md ] || echo 7;;
esac
`)
	comment, err := filepath.Abs(filepath.Join(integrations, "github", "comment.sh"))
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"GITHUB_REPOSITORY=o/r", "NUMBER=1"}
	for _, want := range []string{"commented", "unchanged"} {
		if got := run(0, env, comment, "sidestep.md"); strings.TrimSpace(got) != want {
			t.Errorf("the comment was %q, want %q", got, want)
		}
	}
	if err := os.WriteFile(filepath.Join(repo, "sidestep.md"), []byte("<!-- sidestep audit --diff -->\nother\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := run(0, env, comment, "sidestep.md"); strings.TrimSpace(got) != "updated" {
		t.Errorf("a changed comment was %q", got)
	}
}

// Every integration is valid YAML and runs the script that TestTheGateOnAGitHistory runs.
func TestIntegrationsRunTheScript(t *testing.T) {
	for file, wants := range map[string]string{
		integrations + "/github/action.yml":   `"$GITHUB_ACTION_PATH"/../audit.sh`,
		integrations + "/gitlab/sidestep.yml": "integrations/audit.sh",
		"../../.pre-commit-hooks.yaml":        "integrations/audit.sh",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var parsed any
		if err := yaml.UnmarshalStrict(text, &parsed); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if !strings.Contains(string(text), wants) {
			t.Errorf("%s does not run %s", file, wants)
		}
	}
}

const shopWithFilter = `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: lua, namespace: shop}
spec:
  workloadSelector: {labels: {app: web}}
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_INBOUND}
    patch: {operation: INSERT_BEFORE, value: {name: envoy.filters.http.lua}}
`

const denyByPath = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: shop}
spec:
  action: DENY
  selector: {matchLabels: {app: web}}
  rules: [{to: [{operation: {paths: [/admin]}}]}]
`

// A release is the same whoever builds it, and the install script puts it where a shell without a compiler runs it.
func TestAReleaseIsReproducibleAndInstalls(t *testing.T) {
	from, root := t.TempDir(), t.TempDir()
	build := func(name string) []byte {
		t.Helper()
		out := filepath.Join(t.TempDir(), "sidestep")
		c := exec.Command("go", "build", "-trimpath", "-buildvcs=false",
			"-ldflags=-s -w -buildid= -X github.com/sidestep-mesh/sidestep/internal/cli.release=0.0.1", "-o", out, "../../cmd/sidestep")
		c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTMPDIR="+t.TempDir())
		if text, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s build: %v\n%s", name, err, text)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first := build("first")
	if !bytes.Equal(first, build("second")) {
		t.Error("two builds of the same source differ")
	}
	archive := "sidestep_0.0.1_linux_" + runtime.GOARCH + ".tar.gz"
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	tape := tar.NewWriter(zip)
	err := errors.Join(tape.WriteHeader(&tar.Header{Name: "sidestep", Mode: 0o755, Size: int64(len(first))}),
		func() error { _, err := tape.Write(first); return err }(), tape.Close(), zip.Close(),
		os.WriteFile(filepath.Join(from, archive), packed.Bytes(), 0o644),
		os.WriteFile(filepath.Join(from, "checksums.txt"), fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(packed.Bytes()), archive), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	install := func(args ...string) ([]byte, error) {
		c := exec.Command("/bin/sh", append([]string{"../../install.sh"}, args...)...)
		c.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + root, "SIDESTEP_FROM=" + from, "SIDESTEP_DIR=" + filepath.Join(root, "bin")}
		return c.CombinedOutput()
	}
	if out, err := install(); err == nil || !strings.Contains(string(out), "say which version") {
		t.Errorf("without a version: %v, %s", err, out)
	}
	if out, err := install("v0.0.1"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(filepath.Join(root, "bin", "kubectl-sidestep"), "demo")
	run.Env = []string{"PATH=/nowhere", "HOME=" + root}
	if out, err := run.CombinedOutput(); err != nil || !strings.Contains(string(out), "What frees most") || !strings.Contains(string(out), "kubectl sidestep audit") {
		t.Errorf("the installed program: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(from, archive), append(packed.Bytes(), 0), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := install("0.0.1"); err == nil || !strings.Contains(string(out), "is damaged") {
		t.Errorf("a damaged archive: %v, %s", err, out)
	}
}
