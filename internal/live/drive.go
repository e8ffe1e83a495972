package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/migrate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// DriveOptions say how Drive goes on.
type DriveOptions struct {
	// Every is how long it waits between two looks while nothing is to be done.
	Every time.Duration
	// Patience is how long failures may follow one another before it gives up.
	Patience time.Duration
	// Told is told after each tick.
	Told func(*Tick)
	// Failed is told of a failure that is tried again.
	Failed func(error)
}

// Drive ticks until the migration is done, held or halted, and returns the last tick. An interruption at any point leaves a record from
// which the next Drive, here or elsewhere, goes on.
func (r *Runner) Drive(ctx context.Context, o DriveOptions) (*Tick, error) {
	back := false
	for {
		var tick *Tick
		err := o.Retry(ctx, func() error {
			next, err := r.Tick(ctx)
			if next != nil {
				tick, back = next, next.Record.Wish == migrate.Rollback
			}
			return err
		})
		switch {
		case errors.Is(err, ErrNoMigration) && back:
			return &Tick{Action: migrate.Action{Kind: migrate.Done}, Over: true}, nil // the answer to the last write was lost
		case err != nil:
			return tick, err
		}
		o.Told(tick)
		switch tick.Kind {
		case migrate.Done, migrate.Hold, migrate.Halt:
			return tick, nil
		case migrate.Wait:
			if !tick.Until.IsZero() && !tick.Until.After(r.Now()) {
				continue // what was recorded ends a wave
			}
			if err := wait(ctx, o.Every); err != nil {
				return tick, err
			}
		}
	}
}

// Retry does something until it works, a refusal that will not change comes back, or patience ends.
func (o *DriveOptions) Retry(ctx context.Context, do func() error) error {
	began := time.Now()
	for {
		err := do()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil || final(err):
			return err
		case time.Since(began) > o.Patience:
			return fmt.Errorf("nothing has worked for %v: %w", o.Patience, err)
		}
		if !errors.Is(err, ErrStale) { // somebody was faster: that is no failure
			o.Failed(err)
		}
		if err := wait(ctx, o.Every); err != nil {
			return err
		}
	}
}

// final reports whether trying again is of no use.
func final(err error) bool {
	return errors.Is(err, ErrNoMigration) || errors.Is(err, migrate.ErrNoStep) || errors.Is(err, ErrMigration) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsInvalid(err)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Change changes what a person wishes of a migration, again where somebody else wrote at the same time.
func (w *Writer) Change(ctx context.Context, change func(r *Record) (steps []string, err error)) (*Record, error) {
	for range 10 {
		r, err := w.ReadRecord(ctx)
		if err != nil {
			return nil, err
		}
		steps, err := change(r)
		if err != nil {
			return nil, err
		}
		err = w.SaveSteps(ctx, r, steps...)
		if err == nil {
			err = w.SaveHead(ctx, r)
		}
		if !errors.Is(err, ErrStale) {
			return r, err
		}
	}
	return nil, fmt.Errorf("the record of the migration changes all the time: is a second sidestep at work?")
}
