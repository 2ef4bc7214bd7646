package main

import (
	"fmt"
	"net/netip"

	"mifvif/config"
	"mifvif/scheduler"
)

// maxConflicts bounds what is remembered of conflicts that were told; beyond it
// they may be told again.
const maxConflicts = 1024

// conflicts tells of contradictions between those who have a say, each once
// (contract: event conflict). One goroutine uses it.
type conflicts struct {
	tell func(kind, domain, detail string)
	told map[string]bool
}

func newConflicts(tell func(kind, domain, detail string)) *conflicts {
	return &conflicts{tell: tell, told: make(map[string]bool)}
}

// look tells what is new: rules that contradict a higher actor's, rules that rank
// networks otherwise than they rank themselves, and prefixes that several claim.
func (c *conflicts) look(cfg *config.Config, s *scheduler.Scheduler) {
	for _, w := range cfg.Warnings {
		c.once("", w.String())
	}
	for _, d := range s.Overridden() {
		c.once("", disputed(d))
	}
	for _, p := range s.Contested() {
		if c.new(p.String()) {
			c.contested(s, p)
		}
	}
}

// contested tells who has a prefix that several domains claim.
func (c *conflicts) contested(s *scheduler.Scheduler, p netip.Prefix) {
	for _, d := range s.Dispute(p) {
		c.once(d.Loser, fmt.Sprintf("%s: %s", p, disputed(d)))
	}
}

func disputed(d scheduler.Conflict) string {
	return fmt.Sprintf("%q stands above %q: %s", d.Winner, d.Loser, d.Reason)
}

func (c *conflicts) once(domain, detail string) {
	if c.new(detail) {
		c.tell("conflict", domain, detail)
	}
}

// new reports whether something is seen for the first time.
func (c *conflicts) new(what string) bool {
	if c.told[what] {
		return false
	}
	if len(c.told) >= maxConflicts {
		clear(c.told)
	}
	c.told[what] = true
	return true
}
