// labctl starts, fills, disturbs and ends labs: a real Kubernetes and Istio
// control plane on this machine, for the tests of Sidestep.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	lab "github.com/sidestep-mesh/sidestep/test/lab"
	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

const usage = `labctl: a real control plane on this machine, for tests

  labctl build                  build what a lab consists of (cached; about 13 minutes the first time on 2 cores)
  labctl up                     start a lab
  labctl status                 processes, addresses, faults
  labctl load SCENARIO...       load scenarios and wait for their pods ("labctl load" lists them)
  labctl unload SCENARIO...     remove them again
  labctl fault ...              set something wrong ("labctl fault" lists what)
  labctl measure SIDESTEP       time and memory of its live audit beside raw LISTs of the same kinds
  labctl bench-roi SIDESTEP     what its collection of metrics costs over 14 days of 10,000 pods, in a lab of its own
  labctl history                give Prometheus a past, 14 days at one minute (-days, -step, -pods)
  labctl logs [PROCESS]         where the logs are, or the end of one
  labctl down                   end the lab and remove everything it left
  labctl env                    shell lines that set KUBECONFIG and PATH for the lab's kubectl and istioctl

Flags before the command:
  -name NAME   which lab; several can run side by side (default "default")
  -dir DIR     the lab's folder itself, instead of a name
`

type command func(ctx context.Context, dir string, args []string) error

var commands = map[string]command{
	"build": build, "up": up, "down": down, "status": status, "load": load, "unload": unload,
	"fault": fault, "logs": logs, "env": env, "measure": measure, "bench-roi": benchROI, "history": history,
}

func main() {
	lab.MainIfRole()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "labctl:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("labctl", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	name := flags.String("name", "default", "")
	dir := flags.String("dir", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	do := commands[flags.Arg(0)]
	if do == nil {
		fmt.Fprint(os.Stderr, usage)
		return fmt.Errorf("no command %q", flags.Arg(0))
	}
	if *dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		*dir = filepath.Join(cache, "sidestep-lab", "labs", *name)
	}
	return do(ctx, *dir, flags.Args()[1:])
}

func build(ctx context.Context, _ string, _ []string) error {
	builder, err := lab.NewBuilder(os.Stderr)
	if err != nil {
		return err
	}
	bin, err := builder.Build(ctx)
	if err != nil {
		return err
	}
	for _, part := range bin.Parts() {
		fmt.Println(bin[part])
	}
	return nil
}

func up(ctx context.Context, dir string, _ []string) error {
	l, err := lab.Up(ctx, lab.Options{Dir: dir, Log: os.Stderr})
	if err != nil {
		return err
	}
	describe(l)
	return nil
}

func describe(l *lab.Lab) {
	fmt.Printf("kubeconfig   %s (through the fault proxy)\n", l.Kubeconfig)
	fmt.Printf("             %s (direct)\n", l.DirectKubeconfig)
	fmt.Printf("prometheus   %s\n", l.Prometheus)
	fmt.Printf("istiod       %s/debug/ambientz, xDS %s\n", l.IstiodHTTP, l.IstiodGRPC)
	fmt.Printf("metrics      %s/metrics\n", l.Metrics)
	fmt.Printf("logs         %s\n", filepath.Join(l.Dir, "log"))
	fmt.Printf("kubectl      %s\n", l.Bin.Path("kube", "kubectl"))
}

func down(_ context.Context, dir string, _ []string) error { return lab.Down(dir) }

func status(ctx context.Context, dir string, _ []string) error {
	l, err := lab.Attach(dir)
	if err != nil {
		return err
	}
	describe(l)
	for _, name := range l.ProcessNames() {
		id, err := l.Process(name)
		if err != nil {
			fmt.Printf("  %-24s not running\n", name)
			continue
		}
		fmt.Printf("  %-24s pid %-8d %4d MiB\n", name, id.PID, lab.ResidentMiB(id.PID))
	}
	if exit := l.Failure(); exit != nil {
		return exit
	}
	f, err := l.Faults(ctx)
	if err != nil {
		return err
	}
	fmt.Println("faults      ", faultText(f))
	return nil
}

// loadLimit is far beyond the minute or two that the largest scenario takes.
const loadLimit = 10 * time.Minute

func load(ctx context.Context, dir string, args []string) error {
	if len(args) == 0 {
		return listScenarios()
	}
	l, err := lab.Attach(dir)
	if err != nil {
		return err
	}
	ctx, stop := l.Watch(ctx)
	defer stop()
	// Pods that no node has room for would be waited for until the end of days.
	ctx, cancel := context.WithTimeoutCause(ctx, loadLimit, fmt.Errorf("not loaded within %s", loadLimit))
	defer cancel()
	client, err := l.Client()
	if err != nil {
		return err
	}
	for _, name := range args {
		s, err := scenario.Load(name)
		if err != nil {
			return err
		}
		took, err := s.Load(ctx, client)
		if err != nil {
			return err
		}
		fmt.Printf("loaded %s in %s\n", name, took.Round(100*time.Millisecond))
	}
	return nil
}

func listScenarios() error {
	for _, name := range scenario.Names() {
		s, err := scenario.Load(name)
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(s.Story, "\n")
		fmt.Printf("%-28s %s\n", name, first)
	}
	return nil
}

func unload(ctx context.Context, dir string, args []string) error {
	l, err := lab.Attach(dir)
	if err != nil {
		return err
	}
	client, err := l.Client()
	if err != nil {
		return err
	}
	for _, name := range args {
		s, err := scenario.Load(name)
		if err != nil {
			return err
		}
		if err := s.Unload(ctx, client); err != nil {
			return err
		}
	}
	return nil
}

func logs(_ context.Context, dir string, args []string) error {
	files, err := filepath.Glob(filepath.Join(dir, "log", "*.log"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, file := range files {
		switch {
		case len(args) == 0:
			fmt.Println(file)
		case filepath.Base(file) == args[0]+".log":
			fmt.Println(lab.Tail(file, 50))
			return nil
		}
	}
	if len(args) > 0 || len(files) == 0 {
		return errors.New("no such log in " + filepath.Join(dir, "log"))
	}
	return nil
}

func env(_ context.Context, dir string, _ []string) error {
	l, err := lab.Attach(dir)
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%q\nexport PATH=%q:%q:\"$PATH\"\n", l.Kubeconfig, l.Bin["kube"], l.Bin["istio"])
	return nil
}
