package dns

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"mifvif/pvd"
)

// instance is what is known of one domain as long as it is attached: the same
// network after a loss of its link is another instance (RFC 7556 2.4).
type instance struct {
	ctx    context.Context // ends with the instance
	cancel context.CancelFunc

	mu      sync.Mutex
	servers map[netip.AddrPort]*health
}

// instances holds the living ones; it is bounded by the number of domains.
type instances struct {
	mu   sync.Mutex
	live map[pvd.Key]*instance
}

func newInstances() *instances { return &instances{live: make(map[pvd.Key]*instance)} }

// of returns the instance of d. A domain nobody published gets one too, until
// the next keep: the Chooser may be a moment ahead.
func (t *instances) of(d *pvd.Domain) *instance {
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
	in := &instance{ctx: ctx, cancel: cancel, servers: make(map[netip.AddrPort]*health)}
	t.live[d.Key()] = in
	return in
}

// keep ends every instance that is not in set.
func (t *instances) keep(set *pvd.Set) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, in := range t.live {
		if set.ByKey(k) == nil {
			in.cancel()
			delete(t.live, k)
		}
	}
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
