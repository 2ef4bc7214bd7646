package relay

import (
	"maps"
	"sync"

	"mifvif/flow"
	"mifvif/nat"
)

// maxEnded is how many flows are remembered after their end.
const maxEnded = 10_000

// maxCarried bounds the domains whose bytes are added up by name; those beyond it
// are added up as "other".
const maxCarried = 1024

// Past are the last flows that are no more, of every protocol, for those who ask
// why one went where it went, and what all that have ended carried. It allocates
// for a new domain only; safe for concurrent use.
type Past struct {
	mu      sync.Mutex
	ring    []Record
	next    int
	carried map[string]Carried // by the domain's name
}

// Carried is what flows have carried, in bytes: Tx from apps, Rx to them.
type Carried struct{ Tx, Rx uint64 }

// NewPast returns an empty Past.
func NewPast() *Past {
	return &Past{ring: make([]Record, maxEnded), carried: make(map[string]Carried)}
}

// Add remembers a flow over the oldest one.
func (p *Past) Add(rec Record) {
	rec.State = "ended"
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ring[p.next] = rec
	p.next = (p.next + 1) % len(p.ring)
	name := rec.Domain.Name
	if _, known := p.carried[name]; !known && len(p.carried) >= maxCarried {
		name = "other"
	}
	c := p.carried[name]
	p.carried[name] = Carried{c.Tx + rec.TxBytes, c.Rx + rec.RxBytes}
}

// Carried returns what flows that have ended carried, by domain. A flow that is in
// it is not among the live ones any more.
func (p *Past) Carried() map[string]Carried {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.carried)
}

// Binding remembers what a binding was; it fits nat.Config.Ended.
func (p *Past) Binding(b nat.Record) {
	p.Add(Record{
		ID: b.ID, Flow: b.Flow, Domain: b.Domain, Source: b.Source, Rule: b.Rule, Actor: b.Actor, Reason: b.Reason,
		Started: b.Started, TxBytes: b.TxBytes, RxBytes: b.RxBytes,
	})
}

// Find returns the last flow of that ID; TCP flows and the others have IDs of
// their own. ok is false if it is not remembered.
func (p *Past) Find(tcp bool, id uint64) (rec Record, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.ring {
		if r := &p.ring[i]; r.ID == id && r.Domain != nil && (r.Flow.Proto == flow.TCP) == tcp {
			return *r, true
		}
	}
	return Record{}, false
}
