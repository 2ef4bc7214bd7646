package uplinks

import (
	"errors"
	"log/slog"
	"sync"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// Config says what a Set has to know of the rest.
type Config struct {
	Own  string // mif0's name
	Undo *UndoLog
}

// Set is the host's uplinks as the kernel knows them. Apply and Remove belong
// to one goroutine; the sockets are made by any.
type Set struct {
	cfg    Config
	log    *slog.Logger
	guard  guard
	tuned  map[string]bool // interfaces whose sysctls are set
	warned sync.Once
}

// New returns a Set that has changed nothing yet.
func New(cfg Config, log *slog.Logger) *Set {
	return &Set{cfg: cfg, log: log, guard: newGuard(cfg.Own), tuned: make(map[string]bool)}
}

// Apply makes tables, rules, guard and sysctls what set asks for, given what
// the kernel has now. It adds before it removes, repairs what others changed,
// and does nothing where nothing is to do. Errors are of single objects: the
// rest is in place.
func (s *Set) Apply(set *pvd.Set, st netwatch.State) error {
	routes := localRoutes(set, st, s.cfg.Own)
	for _, d := range set.All() {
		if d.State != pvd.Disabled {
			routes = append(routes, tableOf(d)...)
		}
	}
	err := errors.Join(
		netwatch.SyncRoutes(st.Routes, routes, ownTable),
		netwatch.SyncRules(st.Rules, rulesOf(set), ownRule),
	)
	s.tune(set)
	if gerr := s.guard.apply(set); gerr != nil {
		s.warned.Do(func() {
			s.log.Warn("nftables is not available: packets for another uplink's address are not dropped", "error", gerr)
		})
	}
	return err
}

// Remove takes back what Apply did, sysctls included.
func (s *Set) Remove() error { return errors.Join(Cleanup(), s.cfg.Undo.Restore()) }

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
		removeGuard(),
	)
}
