package relay

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/flow"
	"mifvif/nat"
	"mifvif/pvd"
	"mifvif/quota"
	"mifvif/scheduler"
	"mifvif/stack"
)

// Record is one live TCP flow as people see it.
type Record struct {
	ID      uint64
	Flow    flow.Flow
	Domain  *pvd.Domain
	Source  netip.AddrPort // the uplink's side
	Rule    string
	Actor   string
	Reason  string
	Started time.Time
	TxBytes uint64 // app to network
	RxBytes uint64 // network to app
	State   string
	// Offloaded: the kernel translates it, nothing of it is terminated.
	Offloaded bool
	// Multipath: it may use several domains (RFC 8684), of which Domain is the one
	// that carries first; Subflows are those that are connected, as the keeper saw
	// them last. The slice is not changed any more.
	Multipath bool
	Subflows  []Subflow
}

// flows is the bounded table of live TCP flows.
type flows struct {
	holder func(f flow.Flow, ask bool) quota.Holder
	nextID atomic.Uint64
	mu     sync.Mutex
	shares *quota.Shares
	live   map[uint64]*entry
	past   *Past
	on     [pvd.MaxDomains]atomic.Int32 // connected flows by slot
}

// entry is one place in the table, held from the decision to the end.
type entry struct {
	id   uint64
	held quota.Holder
	mu   sync.Mutex
	rec  Record
	conn appSide
	up   stack.Uplink // nil where nothing is terminated
	to   netip.Addr   // where it really goes
	over bool         // the record does not change any more

	bundled bool // the keeper looks after it: it does not stand on its domain
	strayed bool // what the kernel says of the connection is not about its domain
}

// appSide is a flow from its app's side.
type appSide interface {
	// Counters returns the bytes that have passed: tx from the app, rx to it.
	Counters() (tx, rx uint64)
	// Reset ends it with a RST to the app.
	Reset()
}

func (t *flows) init(cfg *Config) {
	if t.past = cfg.Past; t.past == nil {
		t.past = NewPast()
	}
	t.live, t.shares = make(map[uint64]*entry), quota.New(cfg.MaxTCP, cfg.Stack.PerSource)
	if t.holder = cfg.Stack.Holder; t.holder == nil {
		t.holder = func(f flow.Flow, _ bool) quota.Holder { return quota.Host(f.Src.Addr()) }
	}
}

// reserve takes a place in the table for a flow as its app knows it, or reports
// that it, or the holder's share of it, is used up.
func (t *flows) reserve(f flow.Flow) (*entry, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shares.Full() {
		return nil, false
	}
	e := &entry{id: t.nextID.Add(1)}
	if ask := t.shares.Asks(); ask {
		t.mu.Unlock() // for the time of the system calls
		e.held = t.holder(f, ask)
		t.mu.Lock()
	} else {
		e.held = t.holder(f, ask)
	}
	if t.shares.Full() || t.shares.Spent(e.held) {
		return nil, false
	}
	t.shares.Take(e.held)
	t.live[e.id] = e
	return e, true
}

// release gives the place back.
func (t *flows) release(e *entry) {
	rec, connected := e.final()
	t.mu.Lock()
	delete(t.live, e.id)
	t.shares.Give(e.held)
	t.mu.Unlock()
	if connected { // live no more: nobody finds its bytes in both places
		t.on[rec.Domain.Slot].Add(-1)
		t.past.Add(rec)
	}
}

// final is record for the last time.
func (e *entry) final() (Record, bool) {
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	return e.record()
}

// start fills the place with a flow that is connected on both sides, and was
// decided when it began.
func (t *flows) start(e *entry, f flow.Flow, to netip.Addr, began time.Time, c scheduler.Candidate, d *scheduler.Decision, up stack.Uplink, conn *stack.Conn) {
	t.fill(e, f, to, began, c, d, conn)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.up = up
	if a, ok := up.LocalAddr().(*net.TCPAddr); ok { // at the end it is closed
		e.rec.Source = a.AddrPort()
	}
}

// fill is what start and offload have in common.
func (t *flows) fill(e *entry, f flow.Flow, to netip.Addr, began time.Time, c scheduler.Candidate, d *scheduler.Decision, conn appSide) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn, e.to = conn, to
	t.on[c.Domain.Slot].Add(1)
	e.rec = Record{
		ID: e.id, Flow: f, Domain: c.Domain, Rule: d.Rule, Actor: d.Actor, Reason: d.Reason,
		Started: began, State: "established",
	}
}

// record returns the flow as it stands; ok is false before it is connected.
func (e *entry) record() (Record, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn == nil {
		return Record{}, false
	}
	rec := e.rec
	if s, offloaded := e.conn.(*nat.Stream); offloaded {
		rec.TxBytes, rec.RxBytes, rec.State = s.Shown()
	} else {
		rec.TxBytes, rec.RxBytes = e.conn.Counters()
	}
	return rec, true
}

// Flows returns the live TCP flows in no particular order. Safe for concurrent
// use; it does not hold up the flows.
func (r *Relay) Flows() []Record {
	r.flows.mu.Lock()
	entries := make([]*entry, 0, len(r.flows.live))
	for _, e := range r.flows.live {
		entries = append(entries, e)
	}
	r.flows.mu.Unlock()
	records := make([]Record, 0, len(entries))
	for _, e := range entries {
		if rec, ok := e.record(); ok {
			records = append(records, rec)
		}
	}
	return records
}

// at returns where the flow is now; ok is false once it has ended.
func (e *entry) at() (on *pvd.Domain, source netip.AddrPort, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rec.Domain, e.rec.Source, !e.over
}

// asked returns the flow as its app knows it.
func (e *entry) asked() flow.Flow {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rec.Flow
}

// move has a multipath flow be on another of its domains; it reports false once the
// flow has ended.
func (t *flows) move(e *entry, to *pvd.Domain, source netip.AddrPort) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return false
	}
	t.on[e.rec.Domain.Slot].Add(-1)
	t.on[to.Slot].Add(1)
	e.rec.Domain, e.rec.Source, e.strayed = to, source, true
	return true
}

// unbundle has the flow be one of plain TCP from now on.
func (e *entry) unbundle() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bundled, e.rec.Multipath = false, false
}

// carriedBy notes the subflows that are connected.
func (e *entry) carriedBy(all []Subflow) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Equal(e.rec.Subflows, all) {
		e.rec.Subflows = all
	}
}
