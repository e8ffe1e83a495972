package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"github.com/spf13/cobra"
)

// mostProblems is how many unreadable documents are named one by one on standard error.
const mostProblems = 20

// inputFlags say what a command reads: files, or the cluster of a context.
type inputFlags struct {
	files          []string
	kustomizations []string
	namespaces     []string
	allNamespaces  bool
	clusterFlags
	// live lays the files over the cluster.
	live bool
	saidFlags
	// cost reads also what only the cost of a mesh depends on; no flag sets it.
	cost bool
}

// register adds the flags as kubectl spells them. A command about a whole mesh reads all namespaces
// unless it is told otherwise; -n narrows what is shown, never what is taken into account.
func (f *inputFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVarP(&f.files, "filename", "f", nil, "read manifests from a `FILE`, a folder, a snapshot archive or - for standard input, instead of a cluster; repeatable")
	flags.StringArrayVarP(&f.kustomizations, "kustomize", "k", nil, "read what the kustomization of this `FOLDER` makes; nothing is fetched; repeatable")
	flags.StringSliceVarP(&f.namespaces, "namespace", "n", nil, "show this `NAMESPACE` only; repeatable. Everything is still taken into account")
	flags.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "show all namespaces, which is the default")
	f.clusterFlags.register(c)
	flags.BoolVar(&f.live, "live", false, "lay the files over the cluster instead: judge the objects as kubectl apply -f would leave them, with the pods that run now")
	f.saidFlags.register(c)
	c.MarkFlagsMutuallyExclusive("namespace", "all-namespaces")
}

// named are the files and folders of -f and -k.
func (f *inputFlags) named() []string { return slices.Concat(f.files, f.kustomizations) }

// fromFiles reports whether the input is files alone.
func (f *inputFlags) fromFiles() bool { return len(f.named()) > 0 && !f.live }

// check refuses flags that do not go together.
func (f *inputFlags) check() error {
	switch {
	case f.fromFiles() && f.names():
		return errors.New("-f and -k read files and --context and --kubeconfig a cluster: give one, or --live to lay the files over the cluster")
	case f.live && len(f.named()) == 0:
		return errors.New("--live lays files over the cluster: say which with -f or -k")
	}
	return f.saidFlags.check()
}

// source says in words what load reads.
func (f *inputFlags) source() string {
	files := strings.Join(f.named(), ", ")
	if f.fromFiles() {
		return files
	}
	if f.live {
		return "cluster " + cmp.Or(f.context, "of the current context") + " with " + files + " laid over it"
	}
	return "cluster " + cmp.Or(f.context, "of the current context")
}

// again gives the flags that read the same input once more.
func (f *inputFlags) again() string {
	var out strings.Builder
	for _, file := range f.files {
		out.WriteString(" -f " + file)
	}
	for _, folder := range f.kustomizations {
		out.WriteString(" -k " + folder)
	}
	if f.context != "" {
		out.WriteString(" --context " + f.context)
	}
	return out.String()
}

// load reads the input, naming on standard error what could not be read.
func (f *inputFlags) load(ctx context.Context, env *Env) (*snapshot.Snapshot, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	snap, err := f.read(ctx, env)
	if err != nil {
		return nil, err
	}
	return f.saidFlags.lay(env, snap)
}

// read reads the input as it is.
func (f *inputFlags) read(ctx context.Context, env *Env) (*snapshot.Snapshot, error) {
	if len(f.named()) == 0 {
		return f.collect(ctx, env)
	}
	files, err := f.readFiles(env)
	if err != nil || !f.live {
		return files, err
	}
	cluster, err := f.collect(ctx, env)
	if err != nil {
		return nil, err
	}
	return cluster.Overlay(files), nil
}

// readFiles reads the files alone.
func (f *inputFlags) readFiles(env *Env) (*snapshot.Snapshot, error) {
	var built []manifest.Input
	for _, folder := range f.kustomizations {
		in, err := buildKustomization(env, folder)
		if err != nil {
			return nil, err
		}
		built = append(built, in)
	}
	snap, err := loadFiles(env, f.files, built, manifest.Options{Namespace: f.defaultNamespace(), Exclude: f.exclude})
	if err != nil {
		return nil, err
	}
	sayProblems(env, snap.Problems())
	if snap.Len() == 0 {
		return nil, nothingRead(f.named(), snap)
	}
	return snap, nil
}

// nothingRead ends a command that has no object to work on. Where the reason has been said already, it is
// not said again.
func nothingRead(files []string, snap *snapshot.Snapshot) error {
	if len(snap.Problems()) > 0 {
		return &ExitStatus{Code: ExitError}
	}
	where := strings.Join(files, ", ")
	if ignored := snap.Ignored(); len(ignored) > 0 {
		return fmt.Errorf("nothing to read in %s: %d objects are of no use here, such as %s %s: %s",
			where, len(ignored), ignored[0].Kind, ignored[0].Name, ignored[0].Reason)
	}
	return fmt.Errorf("nothing to read in %s", where)
}

// defaultNamespace is given to objects that name none, as kubectl apply -n does.
func (f *inputFlags) defaultNamespace() string {
	if len(f.namespaces) == 1 {
		return f.namespaces[0]
	}
	return ""
}

// loadFiles reads files by name, and inputs that are made already.
func loadFiles(env *Env, files []string, inputs []manifest.Input, options manifest.Options) (*snapshot.Snapshot, error) {
	stdin := false
	for _, name := range files {
		if name != "-" {
			inputs = append(inputs, pathInput(env, name))
			continue
		}
		if stdin {
			return nil, fmt.Errorf("-f - can be given once: standard input has one end")
		}
		stdin = true
		inputs = append(inputs, manifest.Stream("<stdin>", env.Stdin))
	}
	options.Each = onEveryCore
	return manifest.LoadWith(options, inputs...), nil
}

// pathInput gives a file or folder to the loader, which reads through io/fs.
func pathInput(env *Env, name string) manifest.Input {
	full := env.Path(name)
	if info, err := os.Stat(full); err == nil && info.IsDir() {
		return manifest.Path(filepath.ToSlash(filepath.Clean(name)), os.DirFS(full), ".")
	}
	return manifest.Path(filepath.ToSlash(name), os.DirFS(filepath.Dir(full)), filepath.Base(full))
}

// onEveryCore calls do(0) to do(n-1) on as many goroutines as there are cores.
func onEveryCore(n int, do func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

// sayProblems names unreadable input, one line each.
func sayProblems(env *Env, problems []snapshot.Problem) {
	for i, p := range problems {
		if i == mostProblems {
			fmt.Fprintf(env.Stderr, "%s: and %d more documents that could not be read: see -o json\n", programName(env), len(problems)-i)
			return
		}
		fmt.Fprintf(env.Stderr, "%s: %s\n", programName(env), oneLine(p.String()))
	}
}

// oneLine keeps a message that quotes input on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
