package ra

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// How much one link may say. A router advertises every three seconds at most
// (RFC 4861 10, MIN_DELAY_BETWEEN_RAS); it may have to say it in several parts
// (RFC 8801 3.2) and answers solicitations besides. The sum over a link's routers
// is what all of its floods can cost.
const (
	maxRouters    = 16 // of a link that are told apart
	routerEvery   = 2 * time.Second
	routerBurst   = 8
	strangerEvery = time.Second
	strangerBurst = maxRouters
)

// routers are the senders heard on one link, each with what it may still say.
// Those that are not known yet share one allowance, so that a flood under ever
// new addresses leaves the known ones theirs. One goroutine uses it.
type routers struct {
	known     map[netip.Addr]*router
	strangers *rate.Limiter
	evicted   uint64
}

type router struct {
	allowance *rate.Limiter
	heard     int // messages that were let through
	last      time.Time
}

func newRouters() *routers {
	return &routers{
		known:     make(map[netip.Addr]*router),
		strangers: rate.NewLimiter(rate.Every(strangerEvery), strangerBurst),
	}
}

// allow reports whether a message of a router may be read now.
func (t *routers) allow(source netip.Addr, now time.Time) bool {
	r := t.known[source]
	if r == nil {
		if !t.strangers.AllowN(now, 1) {
			return false
		}
		if len(t.known) >= maxRouters {
			t.evict()
		}
		r = &router{allowance: rate.NewLimiter(rate.Every(routerEvery), routerBurst)}
		t.known[source] = r
	}
	if !r.allowance.AllowN(now, 1) {
		return false
	}
	r.heard++
	r.last = now
	return true
}

// evict makes room: the router that was heard least goes, of several the one that
// was not heard for longest, so that passers-by go before the link's own.
func (t *routers) evict() {
	var worst netip.Addr
	for a, r := range t.known {
		w := t.known[worst]
		if w == nil || r.heard < w.heard || r.heard == w.heard && r.last.Before(w.last) {
			worst = a
		}
	}
	delete(t.known, worst)
	t.evicted++
}
