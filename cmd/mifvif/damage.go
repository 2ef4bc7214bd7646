package main

import (
	"log/slog"
	"slices"
	"time"

	"mifvif/netwatch"
)

// A state may have been read just before our last change was made, and must not
// be taken for damage by others.
const damageGrace = time.Second

// complainEvery bounds how often damage is complained of: two programs that
// repair each other's work never end.
const complainEvery = time.Minute

// damage notices that others take away the rules that draw traffic into mif0
// (RFC 6418 5.5: several managers of one host). The next publish puts them back.
type damage struct {
	log   *slog.Logger
	tell  func(kind, domain, detail string)
	rules []netwatch.Rule // in force
	since time.Time
	said  time.Time
}

// inForce notes what was put in force.
func (d *damage) inForce(rules []netwatch.Rule) {
	if !slices.Equal(d.rules, rules) {
		d.rules, d.since = rules, time.Now()
	}
}

// look compares a fresh state with what is in force.
func (d *damage) look(st netwatch.State) {
	if time.Since(d.since) < damageGrace || time.Since(d.said) < complainEvery {
		return
	}
	missing := 0
	for _, r := range d.rules {
		if r.Protocol = netwatch.Protocol; !slices.Contains(st.Rules, r) {
			missing++
		}
	}
	if missing > 0 {
		d.said = time.Now()
		d.tell("warning", "", "rules of mif0 were removed by somebody else and are put back")
		d.log.Warn("rules of mif0 were removed by somebody else and are put back", "missing", missing)
	}
}
