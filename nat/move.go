package nat

import (
	"net/netip"
	"time"

	"mifvif/flow"
	"mifvif/packet"
	"mifvif/pvd"
)

// Why a binding's app socket is put on another domain.
const (
	MovedFailure  = "failure"  // its domain or its address there is gone
	MovedRecovery = "recovery" // a better domain is back
	MovedOwner    = "owner"    // its port is another user's or program's now
)

// maxDepartures bounds the app sockets that are waited for; beyond it all are
// forgotten, which costs nothing but the word about them.
const maxDepartures = 4096

// departure is where an app socket was until its binding was ended.
type departure struct {
	from *pvd.Domain
	why  string
}

// depart ends a binding whose next packet gets another decision. t.mu is held.
func (t *Table) depart(b *binding, why string) {
	t.end(b)
	if t.cfg.Moved == nil {
		return
	}
	if len(t.departed) >= maxDepartures {
		clear(t.departed)
	}
	t.departed[b.app] = departure{b.choice.Domain, why}
}

// arrive tells of an app socket that got a binding on another domain than it had.
// t.mu is held.
func (t *Table) arrive(b *binding, f flow.Flow) {
	if len(t.departed) == 0 {
		return
	}
	d, ok := t.departed[b.app]
	delete(t.departed, b.app)
	if ok && d.from.Name != b.choice.Domain.Name {
		t.cfg.Moved(f, d.from, b.choice.Domain, d.why)
	}
}

// Move ends bindings by their IDs, so that the next packets of their app sockets
// are decided anew, and returns how many there were.
func (t *Table) Move(ids map[uint64]bool, why string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for b := range t.bindings {
		if ids[b.id] {
			t.depart(b, why)
			n++
		}
	}
	return n
}

// recheckEvery is how often it is asked whose a socket in use is. Ports are used
// again, and who has one now must not go where somebody else was to go.
const recheckEvery = 5 * time.Second

// handedOver ends a binding whose port has become somebody else's since its
// decision, and reports whether it did. A socket that is not there any more is
// nobody else's.
func (t *Table) handedOver(b *binding, info *packet.Info, now time.Time) bool {
	b.checked = now
	is := t.cfg.Owner(flow.Flow{Proto: b.app.proto, Src: b.app.app, Dst: netip.AddrPortFrom(info.Dst, info.DstPort)})
	if !is.Known || same(b.choice.Owner, is) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.depart(b, MovedOwner)
	return true
}

// same reports whether two owners are one as far as the first one's decision
// looked at it.
func same(was, is flow.Owner) bool {
	return was.UID == is.UID && (was.Process == "" || was.Process == is.Process) && (was.Cgroup == "" || was.Cgroup == is.Cgroup)
}
