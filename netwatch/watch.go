package netwatch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// When the state is read again.
const (
	settle  = 20 * time.Millisecond // a burst of notifications is one change
	refresh = 30 * time.Second      // whether or not anything was heard
	retry   = time.Second           // after the kernel did not answer

	// Where reading routes is dear (a full Internet table takes a second or two) it
	// is done the more seldom: these many times the last reading's duration pass, up
	// to a limit. What may have gone without a word is never waited for.
	rest    = 10
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
	b := newBell()
	unsubscribe, err := w.subscribe(b)
	if err != nil {
		return err
	}
	defer unsubscribe()
	f := following{due: news{parts: all, lost: true}, kernel: (*State).read}
	for first := true; ; {
		f.due = f.due.with(b.heard())
		changed, err := f.read(time.Now())
		switch {
		case err != nil:
			w.log.Warn("the kernel's state could not be read", "error", err)
			f.due, f.rested = news{parts: all, lost: true}, time.Now().Add(retry)
		case changed || first:
			first = false
			deliver(f.last)
		}
		if !b.wait(ctx, f.next()) {
			return nil
		}
	}
}

// following is what a Watcher knows.
type following struct {
	last   State
	due    news      // what has to be read
	full   time.Time // when all was read last
	rested time.Time // when routes may be read again
	kernel func(s *State, what parts) error
}

// next returns when something has to be read though nothing is heard.
func (f *following) next() time.Time {
	at := f.full.Add(refresh)
	if f.due.parts != 0 && f.rested.Before(at) {
		at = f.rested
	}
	return at
}

// read reads what is due now and reports whether anything has changed. Of routes
// that have changed the kernel tells, and a flood of that is read when they have
// rested; but they go without a word when their link or address does.
func (f *following) read(now time.Time) (changed bool, err error) {
	if now.Sub(f.full) >= refresh {
		f.due = news{parts: all, lost: true}
	}
	next := f.last
	what := f.due.parts
	if !f.due.lost && now.Before(f.rested) {
		what &^= routes
	}
	if what&routes != 0 {
		what |= links // last, after the routes
	}
	began := time.Now()
	if err := f.kernel(&next, what); err != nil {
		return false, err
	}
	stand := slices.Equal(next.Links, f.last.Links) && slices.Equal(next.Addresses, f.last.Addresses)
	if !stand && what&routes != routes {
		what |= routes | links
		if err := f.kernel(&next, routes|links); err != nil {
			return false, err
		}
	}
	if what&routes != 0 {
		f.rested = time.Now().Add(min(rest*time.Since(began), maxRest))
	}
	if what == all {
		f.full = now
	}
	f.due = news{parts: f.due.parts &^ what}
	changed = !next.Equal(&f.last)
	f.last = next
	return changed, nil
}

// Equal reports whether two states, each as it was read, say the same.
func (s *State) Equal(o *State) bool {
	return s.Firewall == o.Firewall && s.Transforms == o.Transforms && slices.Equal(s.Links, o.Links) && slices.Equal(s.Addresses, o.Addresses) &&
		slices.Equal(s.Routes, o.Routes) && slices.Equal(s.Rules, o.Rules)
}

// subscribe asks the kernel for notifications until the returned function is
// called and has joined the listeners.
func (w *Watcher) subscribe(b *bell) (func(), error) {
	routing, err := listen(unix.NETLINK_ROUTE, ofRouting,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
		unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return nil, fmt.Errorf("subscribe to the kernel's changes: %w", err)
	}
	listeners := []*listener{routing}
	if firewall, err := listen(unix.NETLINK_NETFILTER, ofFirewall, unix.NFNLGRP_NFTABLES); err == nil {
		listeners = append(listeners, firewall)
	} else {
		w.log.Debug("nftables cannot be followed", "error", err)
	}
	if ipsec, err := listen(unix.NETLINK_XFRM, ofTransforms, nl.XFRMNLGRP_POLICY); err == nil {
		listeners = append(listeners, ipsec)
	} else {
		w.log.Debug("policies of IPsec cannot be followed", "error", err)
	}
	var hearing sync.WaitGroup
	for _, l := range listeners {
		hearing.Go(func() { l.hear(b.ring) })
	}
	return func() {
		for _, l := range listeners {
			l.close()
		}
		hearing.Wait()
	}, nil
}
