package dns

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	wire "github.com/miekg/dns"
)

// maxCounts bounds the table of counters; beyond it a domain is counted as "other".
const maxCounts = 4096

// Count is how many answers with one rcode clients got from one domain.
type Count struct {
	PvD     string // "" for local answers
	Rcode   string // "NOERROR", "NXDOMAIN", …
	Queries uint64
}

type countKey struct{ pvd, rcode string }

// stats counts what was answered and what was turned away.
type stats struct {
	mu     sync.Mutex
	counts map[countKey]uint64

	malformed, overload, source, conns, spoofed, stopped atomic.Uint64
}

// answered counts one reply.
func (s *stats) answered(domain string, rcode int) {
	name, ok := wire.RcodeToString[rcode]
	if !ok {
		name = "other"
	}
	k := countKey{domain, name}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.counts[k]; !known && len(s.counts) >= maxCounts {
		k.pvd = "other"
	}
	s.counts[k]++
}

// turnedAway counts a query that was not let in.
func (s *stats) turnedAway(why refusal) {
	switch why {
	case full:
		s.overload.Add(1)
	case greedy:
		s.source.Add(1)
	case closed:
		s.stopped.Add(1)
	}
}

// Counts returns the answers given so far by domain and rcode, sorted.
func (s *Server) Counts() []Count {
	s.stats.mu.Lock()
	out := make([]Count, 0, len(s.stats.counts))
	for k, n := range s.stats.counts {
		out = append(out, Count{k.pvd, k.rcode, n})
	}
	s.stats.mu.Unlock()
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.PvD, b.PvD), cmp.Compare(a.Rcode, b.Rcode))
	})
	return out
}

// Drops returns how much was not answered, by reason: "malformed" is not even a
// query; "overload" and "per_source" met a limit of queries, "connections" one
// of connections; "stopped" came while the server was not running; "spoofed"
// are datagrams from a resolver's address that answer no question of ours.
func (s *Server) Drops() map[string]uint64 {
	return map[string]uint64{
		"malformed":   s.stats.malformed.Load(),
		"overload":    s.stats.overload.Load(),
		"per_source":  s.stats.source.Load(),
		"connections": s.stats.conns.Load(),
		"stopped":     s.stats.stopped.Load(),
		"spoofed":     s.stats.spoofed.Load(),
	}
}
