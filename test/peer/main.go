// Command peer compares "sidestep audit" with "istioctl analyze --use-kube=false" on the same generated mesh of
// 4,000 services, 20,000 pods and 2,000 policies: wall time, processor time and peak memory, as the kernel
// counts them, in runs that take turns on the same machine. It fails when sidestep takes more than half the wall
// time or more memory.
//
// istioctl is built from the module that pins it for the lab, with the lab's flags, so that both share
// one build cache.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-peer:", err)
		os.Exit(1)
	}
}

func run() error {
	root := flag.String("root", "../..", "the root of the repository")
	runs := flag.Int("runs", 5, "how often each program runs")
	bare := flag.Bool("bare", false, "pods without owners: 20,000 workloads instead of 4,000")
	flag.Parse()
	mesh := meshtest.Peer()
	mesh.Bare = *bare
	work, err := os.MkdirTemp("", "sidestep-peer-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	file := filepath.Join(work, "mesh.yaml")
	if err := generate(file, mesh); err != nil {
		return err
	}
	istioctl, err := build(filepath.Join(*root, "test/lab/parts/istio"), "istioctl", "istio.io/istio/istioctl/cmd/istioctl", "-tags", "vtprotobuf,disable_pgv")
	if err != nil {
		return err
	}
	sidestep, err := build(*root, "sidestep", "./cmd/sidestep")
	if err != nil {
		return err
	}
	var theirs, ours []usage
	for range *runs {
		t, err := measure(istioctl, "analyze", "--use-kube=false", file)
		if err != nil {
			return err
		}
		o, err := measure(sidestep, "audit", "-f", file)
		if err != nil {
			return err
		}
		theirs, ours = append(theirs, t), append(ours, o)
	}
	return compare(sum(theirs), sum(ours), *runs)
}

func generate(file string, mesh meshtest.Bulk) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := errors.Join(mesh.Write(f), f.Close()); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	fmt.Printf("%d services, %d pods, %d policies, %.1f MB of YAML\n",
		mesh.Services, mesh.Services*mesh.PodsPerService, mesh.Policies, float64(info.Size())/1e6)
	return nil
}

// build builds a program in the user's cache folder, where the next run finds it.
func build(module, name, pkg string, flags ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	out := filepath.Join(cache, "sidestep-peer", name)
	fmt.Fprintf(os.Stderr, "building %s (the first time takes minutes)\n", name)
	args := append([]string{"build", "-buildvcs=false", "-p", "2", "-ldflags", "-s -w", "-o", out}, flags...)
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = module, os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	return out, nil
}

// usage is what one run took.
type usage struct {
	wall, cpu time.Duration
	peak      int64 // bytes resident
}

// measure runs a program to its end. Findings (exit code 2 of sidestep, 79 of istioctl) are no failure, since
// reporting them is the work.
func measure(program string, args ...string) (usage, error) {
	out, err := os.CreateTemp("", "sidestep-peer-out-")
	if err != nil {
		return usage{}, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	began := time.Now()
	err = cmd.Run()
	wall := time.Since(began)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && (exit.ExitCode() == 2 || exit.ExitCode() == 79) {
		err = nil
	}
	if err != nil {
		text, _ := os.ReadFile(out.Name())
		return usage{}, fmt.Errorf("%s %v: %w\n%s", filepath.Base(program), args, err, text)
	}
	if info, err := out.Stat(); err != nil || info.Size() == 0 {
		return usage{}, fmt.Errorf("%s printed nothing", filepath.Base(program))
	}
	state := cmd.ProcessState
	kernel, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return usage{}, errors.New("this system does not count the memory of processes")
	}
	return usage{wall: wall, cpu: state.UserTime() + state.SystemTime(), peak: kernel.Maxrss * 1024}, nil
}

// sum takes the least time, which other processes disturbed least, and the median of memory.
func sum(all []usage) usage {
	peaks := make([]int64, 0, len(all))
	out := all[0]
	for _, u := range all {
		out.wall, out.cpu = min(out.wall, u.wall), min(out.cpu, u.cpu)
		peaks = append(peaks, u.peak)
	}
	slices.Sort(peaks)
	out.peak = peaks[len(peaks)/2]
	return out
}

func compare(theirs, ours usage, runs int) error {
	fmt.Printf("\n%-20s %12s %12s %12s   (least time and median memory of %d runs)\n", "", "wall", "processor", "peak memory", runs)
	for _, row := range []struct {
		name string
		usage
	}{{"istioctl analyze", theirs}, {"sidestep audit", ours}} {
		fmt.Printf("%-20s %10.2f s %10.2f s %9.0f MiB\n", row.name, row.wall.Seconds(), row.cpu.Seconds(), float64(row.peak)/(1<<20))
	}
	fmt.Printf("%-20s %11.2fx %11.2fx %12.2fx\n", "ratio", ratio(ours.wall, theirs.wall), ratio(ours.cpu, theirs.cpu), float64(ours.peak)/float64(theirs.peak))
	switch {
	case 2*ours.wall > theirs.wall:
		return errors.New("sidestep took more than half the wall time of istioctl")
	case ours.peak > theirs.peak:
		return errors.New("sidestep took more memory than istioctl")
	}
	return nil
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }
