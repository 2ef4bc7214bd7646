package netwatch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// When the state is read again.
const (
	settle  = 20 * time.Millisecond // a burst of notifications is one change
	refresh = 30 * time.Second      // whether or not anything was heard
	retry   = time.Second           // after the kernel did not answer

	// Where reading is dear (a full Internet table takes a second or two) it is
	// done the more seldom: after a notification these many times the last
	// reading's duration pass, up to a limit.
	rest    = 4
	maxRest = 5 * time.Second
)

// Watcher follows one network namespace: the one of the goroutine's thread when
// Run is called. Make one with New.
type Watcher struct{ log *slog.Logger }

// New returns a Watcher; it starts nothing.
func New(log *slog.Logger) *Watcher { return &Watcher{log: log} }

// Run delivers the state once at the start and then whenever it has changed,
// from the goroutine that called it, until ctx ends. deliver may take its time:
// what changes meanwhile is in the next state.
func (w *Watcher) Run(ctx context.Context, deliver func(State)) error {
	wake := make(chan struct{}, 1) // full means: a reading is due already
	unsubscribe, err := w.subscribe(wake)
	if err != nil {
		return err
	}
	defer unsubscribe()
	var last *State
	for {
		began, next := time.Now(), refresh
		state, err := Read()
		took := time.Since(began)
		switch {
		case err != nil:
			w.log.Warn("the kernel's state could not be read", "error", err)
			next = retry
		case last == nil || !last.Equal(&state):
			last = &state
			deliver(state)
		}
		if !pause(ctx, wake, next, max(settle, min(rest*took, maxRest))) {
			return nil
		}
	}
}

// Equal reports whether two states, each as it was read, say the same.
func (s *State) Equal(o *State) bool {
	return s.Firewall == o.Firewall && slices.Equal(s.Links, o.Links) && slices.Equal(s.Addresses, o.Addresses) &&
		slices.Equal(s.Routes, o.Routes) && slices.Equal(s.Rules, o.Rules)
}

// pause waits for a notification and the rest of its burst, or for the time to
// read anyway; it returns false when ctx ends.
func pause(ctx context.Context, wake <-chan struct{}, next, burst time.Duration) bool {
	timer := time.NewTimer(next)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-wake:
	}
	timer.Reset(burst)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	select {
	case <-wake: // the rest of the burst is in what is read now
	default:
	}
	return true
}

// subscribe asks the kernel for notifications until the returned function is
// called and has joined the listeners.
func (w *Watcher) subscribe(wake chan<- struct{}) (func(), error) {
	routing, err := listen(unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
		unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return nil, fmt.Errorf("subscribe to the kernel's changes: %w", err)
	}
	listeners := []*listener{routing}
	if firewall, err := listen(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES); err == nil {
		listeners = append(listeners, firewall)
	} else {
		w.log.Debug("nftables cannot be followed", "error", err)
	}
	ring := func() {
		select {
		case wake <- struct{}{}:
		default: // a reading is due already
		}
	}
	var hearing sync.WaitGroup
	for _, l := range listeners {
		hearing.Go(func() { l.hear(ring) })
	}
	return func() {
		for _, l := range listeners {
			l.close()
		}
		hearing.Wait()
	}, nil
}
