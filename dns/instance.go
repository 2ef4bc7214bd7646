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

	name    string // of the domain
	cache   *cache
	mu      sync.Mutex
	servers map[netip.AddrPort]*health
	flights map[string]*flight // by cache key
	domain  *pvd.Domain        // as it was published last, nil before
}

// instances holds the living ones; it is bounded by the number of domains.
type instances struct {
	mu    sync.RWMutex
	live  map[pvd.Key]*instance
	list  atomic.Pointer[[]*instance] // of live, for readers that must not wait
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
	in = &instance{
		ctx: ctx, cancel: cancel, name: d.Name, cache: newCache(),
		servers: make(map[netip.AddrPort]*health), flights: make(map[string]*flight),
	}
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
		switch {
		case d == nil:
			in.cancel()
			delete(t.live, k)
		case in.domain != nil && quarantined(in.domain, d):
			in.cache.flush(nil)
			fallthrough
		default:
			in.domain, in.name = d, d.Name
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

// enlist renews the list of the living; t.mu is held.
func (t *instances) enlist() {
	list := slices.Collect(maps.Values(t.live))
	t.list.Store(&list)
}

// quarantined reports whether what was learnt from a domain may not be used any
// more now that it is another.
func quarantined(was, now *pvd.Domain) bool {
	return was.State != now.State || was.Connectivity != now.Connectivity ||
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

// reachable are the resolvers of d that one of its source addresses can reach.
func reachable(d *pvd.Domain) []netip.AddrPort {
	var out []netip.AddrPort
	for _, r := range d.Resolvers {
		if r.Addr.IsValid() && d.HasSource(r.Addr.Addr().Unmap().Is6()) && len(out) < maxServers {
			out = append(out, r.Addr)
		}
	}
	return out
}
