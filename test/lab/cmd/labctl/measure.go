package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	lab "github.com/sidestep-mesh/sidestep/test/lab"
	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
)

// What the audit of a live cluster may cost, by the lab's own issue: 1.5 times the time of a raw LIST
// of the same kinds in the same run, and 150 MB of memory.
const (
	maxRatio  = 1.5
	maxMemory = 150e6 // bytes
	rounds    = 5
	// atOnce is how many requests the audit itself has under way.
	atOnce = 4
)

// measure runs raw LISTs and `sidestep audit` in turn against the same lab and prints time and memory of both.
func measure(ctx context.Context, dir string, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: labctl measure PATH-OF-SIDESTEP")
	}
	l, err := lab.Attach(dir)
	if err != nil {
		return err
	}
	client, err := cluster.Connect(l.Kubeconfig)
	if err != nil {
		return err
	}
	role, err := printedRole(ctx, args[0])
	if err != nil {
		return err
	}
	var lists, parallel, audits []time.Duration
	var size, memory int64
	cpu := time.Hour
	for range rounds {
		began := time.Now()
		if size, err = client.RawList(ctx, role, 1); err != nil {
			return err
		}
		lists = append(lists, time.Since(began))
		began = time.Now()
		if _, err = client.RawList(ctx, role, atOnce); err != nil {
			return err
		}
		parallel = append(parallel, time.Since(began))
		took, used, err := runAudit(ctx, args[0], l.Kubeconfig)
		if err != nil {
			return err
		}
		audits, memory, cpu = append(audits, took), max(memory, used.memory), min(cpu, used.cpu)
	}
	list, audit := least(lists), least(audits)
	ratio := audit.Seconds() / list.Seconds()
	fmt.Printf("raw LIST   %6.2f s  (%.1f MB of JSON; best of %d: %v)\n", list.Seconds(), float64(size)/1e6, rounds, seconds(lists))
	fmt.Printf("  %d at once %5.2f s  (%v)\n", atOnce, least(parallel).Seconds(), seconds(parallel))
	fmt.Printf("audit      %6.2f s  (best of %d: %v), peak memory %.0f MB, its processor time %.2f s\n",
		audit.Seconds(), rounds, seconds(audits), float64(memory)/1e6, cpu.Seconds())
	fmt.Printf("ratio      %6.2f    (at most %.1f; %.2f to LISTs %d at once), memory at most %.0f MB\n",
		ratio, maxRatio, audit.Seconds()/least(parallel).Seconds(), atOnce, maxMemory/1e6)
	if ratio > maxRatio || float64(memory) > maxMemory {
		return errors.New("beyond the limit")
	}
	return nil
}

// printedRole reads what sidestep says it needs to read, so that both sides read the same.
func printedRole(ctx context.Context, sidestep string) (*rbacv1.ClusterRole, error) {
	out, err := exec.CommandContext(ctx, sidestep, "audit", "--print-rbac").Output()
	if err != nil {
		return nil, fmt.Errorf("%s audit --print-rbac: %w", sidestep, err)
	}
	role := &rbacv1.ClusterRole{}
	if err := yaml.Unmarshal(out, role); err != nil {
		return nil, fmt.Errorf("%s audit --print-rbac: %w", sidestep, err)
	}
	if len(role.Rules) == 0 {
		return nil, errors.New("the printed ClusterRole has no rules")
	}
	return role, nil
}

// used is what a process took besides time on the clock.
type used struct {
	memory int64         // peak resident, in bytes
	cpu    time.Duration // user and system; hardly disturbed by what else runs
}

// runAudit returns wall time and what was used. Exit code 2 means findings, which is no error here.
func runAudit(ctx context.Context, sidestep, kubeconfig string) (time.Duration, used, error) {
	cmd := exec.CommandContext(ctx, sidestep, "audit", "-o", "json", "--kubeconfig", kubeconfig)
	var errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = io.Discard, &errOut, os.Environ()
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 0 && cmd.ProcessState.ExitCode() != 2 {
		return 0, used{}, fmt.Errorf("%s audit: %w\n%s", sidestep, err, errOut.Bytes())
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, used{}, errors.New("this system does not tell a child's memory")
	}
	return took, used{usage.Maxrss * 1024, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil // Linux counts memory in KiB
}

func least(all []time.Duration) time.Duration {
	best := all[0]
	for _, d := range all {
		best = min(best, d)
	}
	return best
}

func seconds(all []time.Duration) []string {
	var out []string
	for _, d := range all {
		out = append(out, fmt.Sprintf("%.2f", d.Seconds()))
	}
	return out
}
