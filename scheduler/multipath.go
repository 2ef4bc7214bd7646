package scheduler

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// MPTCP is whether a TCP flow may use several domains at a time (RFC 8684; RFC 6418
// 3.4-2; contract: mptcp).
type MPTCP uint8

// The words of mptcp. A Decision never carries MultipathInherit.
const (
	MultipathInherit MPTCP = iota // where the app's own SYN asks for it
	MultipathOff
	MultipathAuto    // tried, else plain TCP
	MultipathRequire // or the flow is refused
)

// String returns the word of the configuration; MultipathInherit has none.
func (m MPTCP) String() string {
	switch m {
	case MultipathOff:
		return "off"
	case MultipathAuto:
		return "auto"
	case MultipathRequire:
		return "require"
	}
	return ""
}

// tries reports whether it is tried.
func (m MPTCP) tries() bool { return m >= MultipathAuto }

// multipath settles whether the flow may use several domains, and which of the
// candidates are alike.
func (p *pick) multipath(at *[MaxCandidates]standing) {
	switch {
	case p.flow.Proto != flow.TCP:
		p.dec.MPTCP = MultipathOff
	case p.dec.MPTCP == MultipathInherit && p.flow.Multipath:
		p.dec.MPTCP = MultipathAuto
	case p.dec.MPTCP == MultipathInherit:
		p.dec.MPTCP = MultipathOff
	}
	if !p.dec.MPTCP.tries() {
		return
	}
	p.dec.Alike = 1
	for p.dec.Alike < p.dec.n && !at[p.dec.Alike].rank.metered && !at[0].outranks(&at[p.dec.Alike], p.by) {
		p.dec.Alike++
	}
}

// Review makes the decision about a flow that is under way once more, as Pick
// would and not noted: which domains it may use now. It does not allocate.
func (s *Scheduler) Review(f flow.Flow) Decision {
	snap := s.snapshot.Load()
	p := pick{Scheduler: s, snap: snap, flow: s.about(f, snap), comeback: comeback{asked: true}}
	p.decide()
	return p.dec
}

// Bounds of the memory of servers, or of what is on the way to them, that have
// Multipath TCP fall back to TCP.
const (
	maxFallen = 4096
	fallenFor = 10 * time.Minute
)

// fallen is that memory. It is of one attachment of a domain, as in another network
// something else is on the way. Only flows that try Multipath TCP come here; safe
// for concurrent use.
type fallen struct {
	evicted atomic.Uint64
	mu      sync.Mutex
	when    map[fallback]time.Time
}

type fallback struct {
	domain pvd.Key
	dst    netip.AddrPort
}

// FellBack notes that Multipath TCP to dst in a domain instance became TCP: for a
// while flows there are better plain ones at once. In a full memory one entry is
// forgotten, and counted.
func (s *Scheduler) FellBack(d pvd.Key, dst netip.AddrPort) {
	m := &s.fallen
	now := s.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.when == nil {
		m.when = make(map[fallback]time.Time)
	}
	if len(m.when) >= maxFallen {
		m.expire(now)
	}
	for k := range m.when {
		if len(m.when) < maxFallen {
			break
		}
		delete(m.when, k)
		m.evicted.Add(1)
	}
	m.when[fallback{d, dst}] = now
}

// expire forgets what is too old. m.mu is held.
func (m *fallen) expire(now time.Time) {
	for k, when := range m.when {
		if now.Sub(when) >= fallenFor {
			delete(m.when, k)
		}
	}
}

// Fallen reports whether Multipath TCP to dst in a domain instance became TCP
// lately, and how long ago.
func (s *Scheduler) Fallen(d pvd.Key, dst netip.AddrPort) (age time.Duration, ok bool) {
	m := &s.fallen
	m.mu.Lock()
	when, known := m.when[fallback{d, dst}]
	m.mu.Unlock()
	age = s.now().Sub(when)
	return age, known && age < fallenFor
}

// whyMultipath says why the flow of an explanation may use several domains, or not.
func (p *pick) whyMultipath() string {
	if p.flow.Proto != flow.TCP || p.dec.n == 0 {
		return ""
	}
	const byApp = "the app's own SYN asks for it"
	by := byApp
	for _, r := range p.spoke {
		if r != nil && r.MPTCP != MultipathInherit {
			by = "rule " + quoted(r)
			break
		}
	}
	first := p.dec.candidates[0].Domain
	switch age, ok := p.Fallen(first.Key(), p.flow.Flow.Dst); {
	case p.dec.MPTCP == MultipathOff && !p.flow.Multipath && by == byApp:
		return "no rule asks for it, nor the app's own SYN"
	case p.dec.MPTCP == MultipathAuto && ok:
		return fmt.Sprintf("%s; not over %s, where the server or the way to it made it TCP %v ago", by, first.Name, age.Round(time.Second))
	}
	return by
}
