package dns

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/pvd"
)

// instance is what is known of one domain as long as it is attached: the same
// network after a loss of its link is another instance (RFC 7556 2.4).
type instance struct {
	ctx    context.Context // ends with the instance
	cancel context.CancelFunc

	name     string // of the domain
	cache    *cache
	channels channels
	mu       sync.Mutex
	servers  map[netip.AddrPort]*health
	flights  map[string]*flight // by cache key
	domain   *pvd.Domain        // as it was published last, nil before
	begun    map[errand]bool
	changed  chan struct{} // 1: the domain was flushed
	renamed  chan struct{} // 1: the same, for the other errand
}

// instances holds the living ones; it is bounded by the number of domains.
type instances struct {
	mu    sync.RWMutex
	live  map[pvd.Key]*instance
	list  atomic.Pointer[[]*instance] // of live, for readers that must not wait
	ended bool                        // Run is over: nothing begins any more
	known map[pvd.Key]bool            // what was published last; of the one that publishes
}

func newInstances() *instances { return &instances{live: make(map[pvd.Key]*instance)} }

// of returns the instance of d. A domain nobody published gets one too, until
// the next keep: the Chooser may be a moment ahead.
func (t *instances) of(d *pvd.Domain) *instance {
	t.mu.RLock()
	in, ok := t.live[d.Key()]
	t.mu.RUnlock()
	if ok {
		return in
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if in, ok := t.live[d.Key()]; ok {
		return in
	}
	if len(t.live) >= 2*pvd.MaxDomains {
		for k, in := range t.live {
			in.cancel()
			delete(t.live, k)
			break
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	if t.ended {
		cancel()
	}
	in = &instance{
		ctx: ctx, cancel: cancel, name: d.Name, cache: newCache(),
		changed: make(chan struct{}, 1), renamed: make(chan struct{}, 1), begun: make(map[errand]bool), servers: make(map[netip.AddrPort]*health), flights: make(map[string]*flight),
	}
	context.AfterFunc(ctx, in.channels.close)
	t.live[d.Key()] = in
	t.enlist()
	return in
}

// keep ends every instance that is not in set and flushes what must not outlive a
// change (standards D.7): all of a domain whose state or resolvers are others than
// before, so that nothing learnt behind a portal is used after it, and all denials
// when a domain appears that may know better.
func (t *instances) keep(set *pvd.Set) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, in := range t.live {
		d := set.ByKey(k)
		if d == nil {
			in.cancel()
			delete(t.live, k)
			continue
		}
		if was := in.renew(d); was != nil && quarantined(was, d) {
			in.cache.flush(nil)
			in.wake()
		}
	}
	t.enlist()
	known := t.known
	t.known = make(map[pvd.Key]bool)
	appeared := false
	for _, d := range set.All() {
		if d.Alive() {
			t.known[d.Key()] = true
			appeared = appeared || !known[d.Key()]
		}
	}
	if appeared {
		for _, in := range t.live {
			in.cache.flush(func(e *entry) bool { return e.denial })
		}
	}
}

// renew replaces the domain as it was published and returns what it was.
func (in *instance) renew(d *pvd.Domain) (was *pvd.Domain) {
	in.mu.Lock()
	defer in.mu.Unlock()
	was, in.domain, in.name = in.domain, d, d.Name
	return was
}

// present returns the domain as it was published last.
func (in *instance) present() *pvd.Domain {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.domain
}

// called returns the domain's name.
func (in *instance) called() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.name
}

// errand is what is looked for in a domain by itself, as long as it lives.
type errand uint8

const (
	prefixes64 errand = iota
	resolversNamed
)

// seek reports whether the caller is to begin an errand.
func (in *instance) seek(d *pvd.Domain, what errand) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	begin := !in.begun[what] && in.ctx.Err() == nil
	in.begun[what], in.domain = true, d
	return begin
}

// seek begins an errand in d, unless it is under way or Run is over.
func (t *instances) seek(d *pvd.Domain, what errand, begin func(*instance)) {
	in := t.of(d)
	t.mu.RLock() // so that nothing begins behind end
	defer t.mu.RUnlock()
	if in.seek(d, what) {
		begin(in)
	}
}

// wake has the errands begin anew.
func (in *instance) wake() {
	for _, c := range []chan struct{}{in.changed, in.renamed} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// rest waits for a time, or until the errand is to begin anew; it is false when the
// instance ends.
func (in *instance) rest(d time.Duration, anew <-chan struct{}) bool {
	select {
	case <-in.ctx.Done():
		return false
	case <-anew:
	case <-time.After(d):
	}
	return true
}

// end ends every instance, those to come too.
func (t *instances) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	for k, in := range t.live {
		in.cancel()
		delete(t.live, k)
	}
	t.enlist()
}

// enlist renews the list of the living; t.mu is held.
func (t *instances) enlist() {
	list := slices.Collect(maps.Values(t.live))
	t.list.Store(&list)
}

// quarantined reports whether what was learnt from a domain may not be used any
// more now that it is another.
func quarantined(was, now *pvd.Domain) bool {
	return was.State != now.State || was.Connectivity != now.Connectivity ||
		!slices.EqualFunc(was.Designated, now.Designated, func(a, b pvd.Designation) bool { return a.Name == b.Name }) ||
		!slices.EqualFunc(was.Resolvers, now.Resolvers, func(a, b pvd.Resolver) bool {
			a.Until, b.Until = time.Time{}, time.Time{}
			return a == b
		}) || !slices.EqualFunc(was.PREF64, now.PREF64, func(a, b pvd.PREF64) bool { return a.Prefix == b.Prefix })
}

// aliveFirst moves the domains whose every resolver has been silent lately
// behind the others, so that a dead network costs its time once and not with
// every query (RFC 2308 7.2 allows to remember it for five minutes).
func (t *instances) aliveFirst(domains []*pvd.Domain) []*pvd.Domain {
	if len(domains) == 1 {
		return domains
	}
	var alive, dead []*pvd.Domain
	for _, d := range domains {
		if t.of(d).dead(reachable(d), time.Now()) {
			dead = append(dead, d)
		} else {
			alive = append(alive, d)
		}
	}
	return append(alive, dead...)
}
