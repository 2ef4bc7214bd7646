package netwatch

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// When the state is read again.
const (
	settle  = 20 * time.Millisecond // a burst of notifications is one change
	refresh = 30 * time.Second      // whether or not anything was heard
	retry   = time.Second           // after the kernel did not answer
)

// Watcher follows one network namespace: the one of the goroutine's thread when
// Run is called. Make one with New.
type Watcher struct{ log *slog.Logger }

// New returns a Watcher; it starts nothing.
func New(log *slog.Logger) *Watcher { return &Watcher{log: log} }

// Run delivers the state once at the start and then whenever it has changed,
// from one goroutine, until ctx ends. deliver may take its time: what changes
// meanwhile is in the next state.
func (w *Watcher) Run(ctx context.Context, deliver func(State)) error {
	wake := make(chan struct{}, 1) // full means: a reading is due already
	unsubscribe, err := subscribe(wake)
	if err != nil {
		return err
	}
	defer unsubscribe()
	var last *State
	for {
		next := refresh
		state, err := Read()
		switch {
		case err != nil:
			w.log.Warn("the kernel's state could not be read", "error", err)
			next = retry
		case last == nil || !reflect.DeepEqual(*last, state):
			last = &state
			deliver(state)
		}
		if !pause(ctx, wake, next) {
			return nil
		}
	}
}

// pause waits for a notification and the rest of its burst, or for the time to
// read anyway; it returns false when ctx ends.
func pause(ctx context.Context, wake <-chan struct{}, next time.Duration) bool {
	timer := time.NewTimer(next)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-wake:
	}
	timer.Reset(settle)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// subscribe asks the kernel for notifications until the returned function is
// called. A broken subscription leaves the periodic reading.
func subscribe(wake chan<- struct{}) (func(), error) {
	l, err := listen([]uint{
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
		unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to the kernel's changes: %w", err)
	}
	var hearing sync.WaitGroup
	hearing.Go(func() {
		l.hear(func() {
			select {
			case wake <- struct{}{}:
			default: // a reading is due already
			}
		})
	})
	return func() { l.close(); hearing.Wait() }, nil
}
