package scenario

import (
	"context"
	"fmt"

	"mifvif/lab"
)

// A Scenario is one problem and its proof. It is a value; playing it builds a
// world of its own.
type Scenario struct {
	// ID is the row it proves, such as "3.2-7". Checks that are no row have a
	// word.
	ID string
	// Title says what is shown, in one line. It ends in "(the kernel too)" when
	// the plain kernel passes as well.
	Title string
	// Layout of the world; nil is lab.TwoNetworks.
	Layout func() lab.Layout
	// Config is mifvif's configuration, "" is none.
	Config string
	// Prepare, if set, is called before mifvif starts.
	Prepare func(*Env) error
	// Run returns nil when mifvif does what the row wants. The host's own
	// clean-up and the edges' counters are checked by the player.
	Run func(context.Context, *Env) error
}

// All returns every scenario: the rows in RFC 6418's order, then the checks.
func All() []Scenario {
	var all []Scenario
	for _, part := range [][]Scenario{
		hostRows(),
		modelRows(),
		dnsRows(),
		captiveRows(),
		validationRows(),
		sessionRows(),
		sharedRows(),
		operatorRows(),
		routingRows(),
		dhcpRows(),
		selectionRows(),
		managerRows(),
		safetyRows(),
		policyRows(),
		{claimRow()},
		qualityRows(),
		eventRows(),
		liveRows(),
		{multipathRow()},
		shareChecks(),
		overflowChecks(),
		recoveryChecks(),
		fairChecks(),
		stuckChecks(),
		affinityChecks(),
		commandChecks(),
		execChecks(),
		resolvedChecks(),
		multipathChecks(),
		checks(),
		translatedChecks(),
		chaosChecks(),
	} {
		all = append(all, part...)
	}
	return all
}

// Select returns the scenarios with the given ids in that order, all for none.
func Select(ids ...string) ([]Scenario, error) {
	if len(ids) == 0 {
		return All(), nil
	}
	var chosen []Scenario
	for _, id := range ids {
		found := false
		for _, s := range All() {
			if s.ID == id {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no scenario %q (see `mifvif lab list`)", id)
		}
	}
	return chosen, nil
}

// behind is TwoNetworks with wires of these kinds to the first of them, or to both.
func behind(wires ...lab.WireConfig) lab.Layout {
	l := lab.TwoNetworks()
	for i := range wires {
		l.Networks[i].Impairment = &wires[i]
	}
	return l
}

// byPort is the configuration most scenarios use: the port says the network.
const byPort = `
rules:
  - {name: by-e1, match: {port: [7001, 7101]}, require: [e1]}
  - {name: by-e2, match: {port: [7002, 7102]}, require: [e2]}
  - {name: first-e1, match: {port: [7003, 7103]}, prefer: [e1]}
  - {name: first-e2, match: {port: [7004, 7104]}, prefer: [e2]}
`

// The ports that byPort speaks of.
const (
	onlyE1, onlyE2, firstE1, firstE2           uint16 = 7001, 7002, 7003, 7004
	onlyE1Source, firstE1Source, firstE2Source uint16 = 7101, 7103, 7104
)
