package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// part is one nested module under parts/ and what is built from it. Each has a
// module of its own since the dependency graphs disagree.
type part struct {
	name     string
	tags     string
	ldflags  string
	programs map[string]string // binary name to package
	// also makes files besides binaries: it is run in the module's folder.
	also func(ctx context.Context, b *Builder, moduleDir, out string) error
}

// The commit and version pins live in parts/*/go.mod and go.sum.
const (
	kubeVersion = "v1.35.4"
	// The same tags as test/oracle, so that both share one build cache.
	istioTags = "vtprotobuf,disable_pgv"
)

func parts() []part {
	return []part{
		{name: "etcd", programs: map[string]string{"etcd": "go.etcd.io/etcd/server/v3"}},
		{
			name: "kube",
			// Without these, clients cannot parse the server's version.
			ldflags: "-X k8s.io/component-base/version.gitVersion=" + kubeVersion +
				" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35",
			programs: map[string]string{
				"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
				"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
				"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
				"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
			},
		},
		{
			name: "istio", tags: istioTags,
			programs: map[string]string{
				"istiod":   "istio.io/istio/pilot/cmd/pilot-discovery",
				"istioctl": "istio.io/istio/istioctl/cmd/istioctl",
			},
			also: generateIstioManifest,
		},
		{name: "kwok", programs: map[string]string{"kwok": "sigs.k8s.io/kwok/cmd/kwok"}, also: copyKwokStages},
		{
			name: "prometheus",
			programs: map[string]string{
				"prometheus": "github.com/prometheus/prometheus/cmd/prometheus",
				"promtool":   "github.com/prometheus/prometheus/cmd/promtool",
				"history":    "./history",
			},
		},
	}
}

// Builder builds the parts of a lab once per set of pins and keeps them in the
// user's cache folder.
type Builder struct {
	Source string    // the folder test/lab
	Cache  string    // where built parts are kept
	Log    io.Writer // what is being built and how long it took
}

// NewBuilder finds the lab's source folder beside this file and the cache folder of the user.
func NewBuilder(log io.Writer) (*Builder, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return nil, errors.New("cannot find the lab's source folder")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	return &Builder{Source: filepath.Dir(here), Cache: filepath.Join(cache, "sidestep-lab"), Log: log}, nil
}

// Bin is where each part's folder of binaries and files is, by part name.
type Bin map[string]string

// Path returns the path of a built file.
func (b Bin) Path(part, file string) string { return filepath.Join(b[part], file) }

// Build makes sure that all parts are built. A part is rebuilt when its pins
// (go.mod, go.sum), own sources, tags or flags, or the Go version change.
func (b *Builder) Build(ctx context.Context) (Bin, error) {
	unlock, err := lockFile(filepath.Join(b.Cache, "build.lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	bin := Bin{}
	for _, p := range parts() {
		dir, err := b.buildPart(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", p.name, err)
		}
		bin[p.name] = dir
	}
	return bin, nil
}

func (b *Builder) buildPart(ctx context.Context, p part) (string, error) {
	module := filepath.Join(b.Source, "parts", p.name)
	key, err := b.key(p, module)
	if err != nil {
		return "", err
	}
	out := filepath.Join(b.Cache, "bin", p.name+"-"+key)
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	began := time.Now()
	fmt.Fprintf(b.Log, "lab: building %s (%s) ...\n", p.name, strings.Join(p.names(), ", "))
	work := out + ".partial"
	if err := os.RemoveAll(work); err != nil {
		return "", err
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return "", err
	}
	for _, name := range p.names() {
		args := []string{"build", "-buildvcs=false", "-p", "2", "-ldflags", "-s -w " + p.ldflags, "-o", filepath.Join(work, name)}
		if p.tags != "" {
			args = append(args, "-tags", p.tags)
		}
		if _, err := run(ctx, module, "go", append(args, p.programs[name])...); err != nil {
			return "", err
		}
	}
	if p.also != nil {
		if err := p.also(ctx, b, module, work); err != nil {
			return "", err
		}
	}
	if err := os.Rename(work, out); err != nil {
		return "", err
	}
	fmt.Fprintf(b.Log, "lab: built %s in %s\n", p.name, time.Since(began).Round(time.Second))
	return out, nil
}

func (p part) names() []string {
	return slices.Sorted(maps.Keys(p.programs)) // a fixed order makes logs comparable, and the key below
}

// key is a digest of everything that decides what comes out.
func (b *Builder) key(p part, module string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, "layout 3", runtime.Version(), runtime.GOARCH, p.tags, p.ldflags, p.names())
	own, err := filepath.Glob(filepath.Join(module, "*", "*.go"))
	if err != nil {
		return "", err
	}
	for _, file := range append([]string{filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum")}, own...) {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		h.Write(raw)
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// generateIstioManifest writes what an installation of the ambient profile leaves in a
// cluster: the default revision with its validating webhook, which `istioctl install` and Helm both
// set up, and a revision tag beside it, since that is how larger meshes are injected.
func generateIstioManifest(ctx context.Context, _ *Builder, module, out string) error {
	manifest, err := run(ctx, module, filepath.Join(out, "istioctl"), "manifest", "generate",
		"--set", "profile=ambient", "--set", "values.revisionTags[0]=stable", "--set", "values.defaultRevision=default")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "ambient.yaml"), manifest, 0o644); err != nil {
		return err
	}
	// The Gateway API release that this istiod was built with.
	dir, err := moduleDir(ctx, module, "sigs.k8s.io/gateway-api")
	if err != nil {
		return err
	}
	return concatenate(filepath.Join(out, "gateway-api.yaml"), filepath.Join(dir, "config", "crd", "standard", "gateway*.yaml"))
}

// copyKwokStages collects the stages that make nodes and pods ready; without them kwok exits.
func copyKwokStages(ctx context.Context, _ *Builder, module, out string) error {
	dir, err := moduleDir(ctx, module, "sigs.k8s.io/kwok")
	if err != nil {
		return err
	}
	stages := filepath.Join(dir, "kustomize", "stage")
	return concatenate(filepath.Join(out, "stages.yaml"),
		filepath.Join(stages, "node", "fast", "node-*.yaml"),
		filepath.Join(stages, "node", "heartbeat-with-lease", "node-*.yaml"),
		filepath.Join(stages, "pod", "fast", "pod-*.yaml"))
}

func moduleDir(ctx context.Context, module, path string) (string, error) {
	out, err := run(ctx, module, "go", "list", "-m", "-f", "{{.Dir}}", path)
	if err != nil {
		return "", err
	}
	dir := strings.TrimSpace(string(out))
	if dir == "" {
		return "", fmt.Errorf("module %s is not in the module cache", path)
	}
	return dir, nil
}

// concatenate joins YAML files into one stream.
func concatenate(out string, patterns ...string) error {
	var all bytes.Buffer
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return fmt.Errorf("no file matches %s", pattern)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			all.WriteString("---\n")
			all.Write(raw)
			all.WriteByte('\n')
		}
	}
	return os.WriteFile(out, all.Bytes(), 0o644)
}

// run runs a program to its end and returns its standard output; the error holds its standard error.
func run(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errOut bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, errOut.Bytes())
	}
	return out.Bytes(), nil
}

// lockFile keeps two builds of the same user apart; the kernel drops the lock when the holder ends.
func lockFile(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}

// Parts lists the parts in a fixed order.
func (b Bin) Parts() []string { return slices.Sorted(maps.Keys(b)) }
