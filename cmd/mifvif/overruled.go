package main

import (
	"fmt"
	"slices"

	"mifvif/netwatch"
)

// The kernel's own rules for main and default begin here; mifvif's end before.
const (
	lastOfOurs    = 6419
	firstOfKernel = 32766
)

// overruled describes the rules by which other programs lead all or some of the
// host's packets to tables of theirs, and which come after mifvif's: a VPN that was
// up before is passed over. What is led on to its rule all the same is not among them
// (uplinks: rules by source alone).
func overruled(rules []netwatch.Rule) []string {
	var out []string
	for _, r := range rules {
		forAll := r.Type == netwatch.Unicast && r.Goto == 0 && (r.Iif == "" || r.Iif == "lo") && r.Oif == ""
		bySource := r.Src.IsValid() && r.Src.Bits() > 0
		if r.Protocol == netwatch.Protocol || r.Priority <= lastOfOurs || r.Priority >= firstOfKernel || !forAll || bySource ||
			r.Table == 0 || r.Table >= 253 && r.Table <= 255 {
			continue
		}
		text := fmt.Sprintf("another program's rule %d to table %d comes after mifvif's: what it is for goes by mifvif's networks "+
			"(name that network in pvds, or give the rule a priority below 6410)", r.Priority, r.Table)
		if !slices.Contains(out, text) { // of both families
			out = append(out, text)
		}
	}
	return out
}

// heedRules says once what has become overruled, and keeps it for status.
func (d *daemon) heedRules(rules []netwatch.Rule) {
	now := overruled(rules)
	was := d.overruled.Swap(&now)
	for _, text := range now {
		if was == nil || !slices.Contains(*was, text) {
			d.log.Warn("rules of another program come after those of mifvif", "detail", text)
			d.tell("warning", "", text)
		}
	}
}
