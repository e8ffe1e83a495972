package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	lab "github.com/sidestep-mesh/sidestep/test/lab"
)

func history(ctx context.Context, dir string, args []string) error {
	flags := flag.NewFlagSet("labctl history", flag.ContinueOnError)
	days := flags.Int("days", 14, "how many days back from now")
	step := flags.Duration("step", time.Minute, "time between samples")
	pods := flags.Int("pods", 0, "past of a made-up mesh of so many pods; 0: of what the cluster holds now")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := lab.Attach(dir)
	if err != nil {
		return err
	}
	began := time.Now()
	written, err := l.WriteHistory(ctx, lab.History{Days: *days, Step: *step, Pods: *pods})
	if err != nil {
		return err
	}
	fmt.Printf("%s, in %s\n", written, time.Since(began).Round(time.Second))
	return nil
}
