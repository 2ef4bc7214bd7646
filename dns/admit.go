package dns

import (
	"context"
	"net/netip"
	"sync"
)

// refusal says why admission turned a newcomer away.
type refusal uint8

const (
	admitted refusal = iota
	closed           // Run is not running
	full             // everything is taken
	greedy           // the source has its share
)

// admission bounds how much is in flight, in all and per source, and joins it.
type admission struct {
	max, share int
	mu         sync.Mutex
	ctx        context.Context // nil while shut
	total      int
	held       map[netip.Addr]int
	work       sync.WaitGroup
}

func newAdmission(limit int, share float64) *admission {
	return &admission{max: limit, share: max(1, int(float64(limit)*share)), held: make(map[netip.Addr]int)}
}

// open lets work in until shut; its work lives no longer than ctx.
func (a *admission) open(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ctx = ctx
}

// shut lets no more in and waits for what is in.
func (a *admission) shut() {
	a.mu.Lock()
	a.ctx = nil
	a.mu.Unlock()
	a.work.Wait()
}

// enter takes a place for source; every admitted caller must call leave. The
// context is the one that work must end with.
func (a *admission) enter(source netip.Addr) (context.Context, refusal) {
	source = client(source)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.ctx == nil || a.ctx.Err() != nil:
		return nil, closed
	case a.total >= a.max:
		return nil, full
	case a.held[source] >= a.share:
		return nil, greedy
	}
	a.total++
	a.held[source]++
	a.work.Add(1)
	return a.ctx, admitted
}

// leave gives the place of source back.
func (a *admission) leave(source netip.Addr) {
	source = client(source)
	a.mu.Lock()
	a.total--
	if a.held[source]--; a.held[source] == 0 {
		delete(a.held, source)
	}
	a.mu.Unlock()
	a.work.Done()
}

// client is the source a share is counted for: an IPv6 client owns a whole /64
// (RFC 4291 2.5.4), so counting addresses would bound nothing.
func client(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
