package uplinks

import (
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// Config says what a Set has to know of the rest.
type Config struct {
	Own  string   // mif0's name
	LANs []string // interfaces whose hosts are carried too
	Undo *UndoLog
}

// Set is the host's uplinks as the kernel knows them. Apply and Remove belong
// to one goroutine; the sockets are made by any.
type Set struct {
	cfg   Config
	log   *slog.Logger
	guard guard
	// living are the instances whose table is in place: sockets of no other
	// domain are made. Apply replaces it.
	living  atomic.Pointer[map[pvd.Key]bool]
	current atomic.Pointer[pvd.Set] // what was applied last
	rights  rights
	lent    map[place]loan  // addresses with an end, as they were put in place last
	warned  map[string]bool // what was complained of, each once
}

// New returns a Set that has changed nothing yet.
func New(cfg Config, log *slog.Logger) *Set {
	s := &Set{cfg: cfg, log: log, guard: guard{own: cfg.Own, lans: cfg.LANs}, lent: make(map[place]loan), warned: make(map[string]bool)}
	s.living.Store(&map[pvd.Key]bool{})
	return s
}

// alive reports whether sockets may be made on this instance of a domain.
func (s *Set) alive(d *pvd.Domain) bool { return (*s.living.Load())[d.Key()] }

// Apply makes tables, rules, guard and sysctls what set asks for, given what
// the kernel has now. It adds before it removes, repairs what others changed,
// and does nothing where nothing is to do. Instances that are gone get no new
// socket from the start, new ones when their table is there. Errors are of
// single objects: the rest is in place.
// also are addresses of ours that are no domain's.
func (s *Set) Apply(set *pvd.Set, st netwatch.State, also ...netwatch.Address) error {
	next := make(map[pvd.Key]bool)
	stay := make(map[pvd.Key]bool)
	routes := localRoutes(set, st)
	for _, d := range set.All() {
		if d.State == pvd.Disabled {
			continue
		}
		routes = append(routes, tableOf(d, set, st)...)
		if d.State != pvd.Offline {
			next[d.Key()], stay[d.Key()] = true, s.alive(d)
		}
	}
	s.living.Store(&stay)
	err := errors.Join(
		s.lend(set, st, also),
		netwatch.SyncRoutes(st.Routes, routes, ownTable),
		netwatch.SyncRules(st.Rules, slices.Concat(rulesOf(set), othersBySource(set, st.Rules)), ownRule),
	)
	s.current.Store(set)
	s.living.Store(&next)
	s.tune(set)
	s.forward(set)
	if gerr := s.guard.apply(set, st); gerr != nil && s.first("nftables") {
		s.log.Warn("nftables is not available: packets for another uplink's address are not dropped", "error", gerr)
	}
	return err
}

// first reports whether something has not been complained of yet.
func (s *Set) first(of string) bool {
	if s.warned[of] {
		return false
	}
	s.warned[of] = true
	return true
}

// Remove takes back what Apply did, sysctls included.
func (s *Set) Remove() error {
	s.living.Store(&map[pvd.Key]bool{})
	s.rights.mu.Lock()
	defer s.rights.mu.Unlock()
	// Forwarding ends before the guard does, or a LAN's packets would leave in between.
	return errors.Join(s.give(), s.cfg.Undo.Restore(), Cleanup())
}

// Cleanup removes routes, rules and nftables objects of this package by their
// numbers and names, whoever left them.
func Cleanup() error {
	st, err := netwatch.Read()
	if err != nil {
		return err
	}
	return errors.Join(
		netwatch.SyncRules(st.Rules, nil, ownRule),
		netwatch.SyncRoutes(st.Routes, nil, ownTable),
		netwatch.SyncAddresses(st.Addresses, nil),
		removeGuard(),
	)
}
