package cli

import (
	"os"
	"os/exec"
	"path/filepath"
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
