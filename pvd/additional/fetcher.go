package additional

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"mifvif/pvd"
)

// Config says what a Fetcher needs from others.
type Config struct {
	// Dial connects to a "host:port" inside a domain: by its resolvers, from its
	// source, by its next hop and no other. Safe for concurrent use.
	Dial func(ctx context.Context, d *pvd.Domain, network, host string) (net.Conn, error)
	// Deliver takes a report; it must not block for long. Safe for concurrent use.
	Deliver func(pvd.Report)
	// Roots are the certificate authorities; nil: the host's.
	Roots *x509.CertPool
}

// Fetcher keeps the additional information of the domains of a Set. Watch is safe
// for concurrent use.
type Fetcher struct {
	cfg  Config
	log  *slog.Logger
	get  func(context.Context, *pvd.Domain) (*object, error)
	sets chan *pvd.Set // 1: a newer set replaces an unread one
	done chan outcome  // unbuffered: Run takes every outcome until its fetches have ended

	tasks    map[pvd.Key]*task
	networks map[int]*network // by interface
	running  sync.WaitGroup
}

// task is one domain instance that offers information.
type task struct {
	domain   *pvd.Domain
	sequence uint16
	due      time.Time // of the next fetch
	last     time.Time // when the last one began
	object   *object   // in use, nil if none is
	busy     bool
	cancel   context.CancelFunc
}

// network is what is counted for all domains of an interface.
type network struct {
	recent window
	failed map[string]bool // ids that are not asked again
}

// outcome is how a fetch ended.
type outcome struct {
	key      pvd.Key
	sequence uint16
	object   *object
	err      error
}

// New returns a Fetcher that watches nothing yet.
func New(cfg Config, log *slog.Logger) (*Fetcher, error) {
	if cfg.Dial == nil || cfg.Deliver == nil {
		return nil, errors.New("additional: Dial and Deliver are needed")
	}
	f := &Fetcher{
		cfg: cfg, log: log, sets: make(chan *pvd.Set, 1), done: make(chan outcome),
		tasks: make(map[pvd.Key]*task), networks: make(map[int]*network),
	}
	f.get = f.fetch
	return f, nil
}

// Watch replaces the domains whose information is kept.
func (f *Fetcher) Watch(set *pvd.Set) {
	for {
		select {
		case f.sets <- set:
			return
		default:
		}
		select {
		case <-f.sets:
		default:
		}
	}
}

// Run fetches until ctx ends and all its fetches have.
func (f *Fetcher) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer f.running.Wait()
	defer stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case set := <-f.sets:
			f.follow(set)
		case o := <-f.done:
			f.finish(o)
		case <-timer.C:
		}
		timer.Reset(f.work(ctx))
	}
}

// follow makes the tasks those of the set.
func (f *Fetcher) follow(set *pvd.Set) {
	links := make(map[int]bool)
	for _, d := range set.All() {
		links[d.Ifindex] = links[d.Ifindex] || d.Alive()
	}
	for key, t := range f.tasks {
		if d := set.ByKey(key); d == nil || !offers(d) || d.ID != t.domain.ID {
			f.withdraw(t)
			if t.cancel != nil {
				t.cancel()
			}
			delete(f.tasks, key)
		}
	}
	for ifindex := range f.networks {
		if !links[ifindex] { // the attachment is over, and with it what counted against the network
			delete(f.networks, ifindex)
		}
	}
	for _, d := range set.All() {
		if offers(d) {
			f.heed(d)
		}
	}
}

// offers reports whether a domain has information that it could be asked for now:
// an address that is usable is waited for (RFC 8801 4.1).
func offers(d *pvd.Domain) bool {
	return d.Explicit && d.Additional.HTTP && d.Alive() && d.State != pvd.Disabled && hosted(d.ID)
}

// heed notes what a domain says now. Another sequence number, whichever it is,
// makes what is known worthless (RFC 8801 4.1).
func (f *Fetcher) heed(d *pvd.Domain) {
	now := time.Now()
	t := f.tasks[d.Key()]
	if t == nil {
		f.tasks[d.Key()] = &task{domain: d, sequence: d.Additional.Sequence, due: now.Add(upTo(firstWithin))}
		return
	}
	t.domain = d
	if t.sequence != d.Additional.Sequence {
		t.sequence = d.Additional.Sequence
		f.withdraw(t)
		t.due = now.Add(afterChange(d.Additional.Delay))
	}
	if t.object != nil && !t.object.covers(d) {
		f.fail(t, errUncovered)
	}
}

// work does what is due and returns how long until something else is.
func (f *Fetcher) work(ctx context.Context) time.Duration {
	now := time.Now()
	next := now.Add(time.Hour)
	for key, t := range f.tasks {
		if t.object != nil && !t.object.Expires.After(now) {
			f.withdraw(t)
			t.due = now
		}
		if t.object != nil {
			next = sooner(next, t.object.Expires)
		}
		n := f.network(t.domain.Ifindex)
		if t.busy || n.failed[t.domain.ID] || len(n.failed) >= failuresEnd {
			continue
		}
		at := t.due
		if !t.last.IsZero() && at.Before(t.last.Add(betweenFetches)) {
			at = t.last.Add(betweenFetches)
		}
		if !at.After(now) {
			at = n.recent.free(now)
		}
		if at.After(now) {
			next = sooner(next, at)
			continue
		}
		f.start(ctx, key, t, n)
	}
	return max(time.Until(next), time.Millisecond)
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (f *Fetcher) network(ifindex int) *network {
	n := f.networks[ifindex]
	if n == nil {
		n = &network{failed: make(map[string]bool)}
		f.networks[ifindex] = n
	}
	return n
}

// start begins a fetch.
func (f *Fetcher) start(ctx context.Context, key pvd.Key, t *task, n *network) {
	t.busy, t.last = true, time.Now()
	n.recent.note(t.last)
	fetching, cancel := context.WithCancel(ctx)
	t.cancel = cancel
	d, sequence := t.domain, t.sequence
	f.running.Go(func() {
		defer cancel()
		o, err := f.get(fetching, d)
		select {
		case f.done <- outcome{key, sequence, o, err}:
		case <-ctx.Done():
		}
	})
}

// finish takes the outcome of a fetch in. One of a domain that is gone, or about
// an older sequence number, says nothing.
func (f *Fetcher) finish(o outcome) {
	t := f.tasks[o.key]
	if t == nil || !t.busy {
		return
	}
	t.busy = false
	switch {
	case o.sequence != t.sequence:
	case o.err != nil:
		f.fail(t, o.err)
	case !o.object.covers(t.domain):
		f.fail(t, errUncovered)
	default:
		t.object, t.due = o.object, freshAgain(time.Now(), o.object.Expires)
		f.deliver(t, o.object.Expires)
	}
}

// fail ends asking for the information of an id on this network, until it is left.
func (f *Fetcher) fail(t *task, err error) {
	f.withdraw(t)
	n := f.network(t.domain.Ifindex)
	n.failed[t.domain.ID] = true
	f.log.Info("a domain's additional information is not used", "pvd", t.domain.Name, "interface", t.domain.Interface, "error", err)
	if len(n.failed) == failuresEnd {
		f.log.Warn("a network's additional information is not asked for any more", "interface", t.domain.Interface)
	}
}

// withdraw stops using what a domain said.
func (f *Fetcher) withdraw(t *task) {
	if t.object != nil {
		t.object = nil
		f.deliver(t, time.Now())
	}
}

// deliver reports what is in use of a task's domain until a time.
func (f *Fetcher) deliver(t *task, until time.Time) {
	r := pvd.Report{Origin: pvd.FromJSON, Ifindex: t.domain.Ifindex, ID: t.domain.ID, Received: time.Now(), Until: until}
	if o := t.object; o != nil {
		r.NoInternet = o.NoInternet
		for _, z := range o.Zones {
			r.Zones = append(r.Zones, pvd.Zone{Name: z, Origin: pvd.FromJSON, Until: until})
		}
	}
	f.cfg.Deliver(r)
}
