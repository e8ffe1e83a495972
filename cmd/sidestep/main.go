// Command sidestep moves an Istio mesh from sidecars to a hybrid ambient mesh.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/cli"
	"golang.org/x/term"
)

func main() {
	// A mesh is mostly objects that live to the end, so headroom for garbage is mostly wasted: a fifth of the
	// heap instead of the default's all of it costs some processor time and keeps the peak below that of
	// istioctl analyze on the same input ("make bench-peer"). $GOGC still decides when it is set.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(20)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, &cli.Env{
		Args0:            os.Args[0],
		Stdin:            os.Stdin,
		Stdout:           os.Stdout,
		Stderr:           os.Stderr,
		StdoutIsTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		StderrIsTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		Getenv:           os.Getenv,
		Now:              time.Now,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}
