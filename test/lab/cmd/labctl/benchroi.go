package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	lab "github.com/sidestep-mesh/sidestep/test/lab"
)

// What a collection of metrics over 14 days of 10,000 pods at one minute may take.
const (
	maxRequests = 20
	maxSeconds  = 10.0
	maxCollect  = 200e6 // bytes
)

// benchROI builds the history of a large mesh in a lab of its own, runs `sidestep roi collect` on it, prints what that took on
// both sides, and leaves nothing behind. The best of the rounds counts, since the machine may have other work.
func benchROI(ctx context.Context, _ string, args []string) error {
	flags := flag.NewFlagSet("labctl bench-roi", flag.ContinueOnError)
	days := flags.Int("days", 14, "length of the history")
	pods := flags.Int("pods", 10_000, "pods with sidecars")
	rounds := flags.Int("rounds", 5, "how often to collect")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("usage: labctl bench-roi [-days N] [-pods N] [-rounds N] PATH-OF-SIDESTEP")
	}
	sidestep, err := filepath.Abs(flags.Arg(0))
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "sidestep-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	l, err := lab.Up(ctx, lab.Options{Dir: filepath.Join(tmp, "lab"), Log: os.Stderr, Owned: true})
	if err != nil {
		return err
	}
	defer func() { _ = l.Down() }()
	end := time.Now().Truncate(time.Minute)
	began := time.Now()
	written, err := l.WriteHistory(ctx, lab.History{Days: *days, Step: time.Minute, Pods: *pods, End: end})
	if err != nil {
		return err
	}
	fmt.Printf("history    %s, in %s\n", written, time.Since(began).Round(time.Second))
	return collectRounds(ctx, l, *rounds, sidestep, "roi", "collect", "--prometheus", l.Prometheus,
		"--window", strconv.Itoa(*days)+"d", "--until", end.UTC().Format(time.RFC3339), "--out", filepath.Join(tmp, "metrics.json"))
}

func collectRounds(ctx context.Context, l *lab.Lab, rounds int, command ...string) error {
	var walls []time.Duration
	var memory int64
	var requests, samples float64
	own, server := time.Hour, time.Hour
	for range rounds {
		before, err := promStats(ctx, l.Prometheus)
		if err != nil {
			return err
		}
		took, used, err := timed(ctx, command)
		if err != nil {
			return err
		}
		after, err := promStats(ctx, l.Prometheus)
		if err != nil {
			return err
		}
		walls, memory, own = append(walls, took), max(memory, used.memory), min(own, used.cpu)
		server = min(server, time.Duration((after.cpu-before.cpu)*float64(time.Second)))
		requests, samples = after.requests-before.requests, after.samples-before.samples
	}
	best := least(walls)
	fmt.Printf("collect    %6.2f s  (at most %.0f; best of %d: %v)\n", best.Seconds(), maxSeconds, rounds, seconds(walls))
	fmt.Printf("requests   %6.0f    (at most %d), %.0f million samples\n", requests, maxRequests, samples/1e6)
	fmt.Printf("processor  %6.2f s  of Prometheus, %.2f s of sidestep\n", server.Seconds(), own.Seconds())
	fmt.Printf("memory     %6.0f MB (peak of sidestep; at most %.0f)\n", float64(memory)/1e6, maxCollect/1e6)
	if best.Seconds() > maxSeconds || requests > maxRequests || float64(memory) > maxCollect {
		return errors.New("beyond the limit")
	}
	return nil
}

// timed runs a command and returns wall time and what it used.
func timed(ctx context.Context, command []string) (time.Duration, used, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	if err != nil {
		return 0, used{}, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, errOut.Bytes())
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, used{}, errors.New("this system does not tell a child's memory")
	}
	return took, used{usage.Maxrss * 1024, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil // Linux counts memory in KiB
}

// promLoad is what Prometheus counts about itself.
type promLoad struct{ cpu, requests, samples float64 }

func promStats(ctx context.Context, server string) (promLoad, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/metrics", nil)
	if err != nil {
		return promLoad{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return promLoad{}, err
	}
	defer response.Body.Close()
	var out promLoad
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, number, _ := strings.Cut(lines.Text(), " ")
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			continue // a comment
		}
		switch {
		case name == "process_cpu_seconds_total":
			out.cpu = value
		case name == "prometheus_engine_query_samples_total":
			out.samples = value
		case strings.HasPrefix(name, "prometheus_http_requests_total") && strings.Contains(name, `handler="/api/v1/query`):
			out.requests += value
		}
	}
	return out, lines.Err()
}
