package config

import (
	"fmt"
	"net/netip"
	"slices"

	"mifvif/flow"
	"mifvif/scheduler"
)

// idle finds rules that never have a say: because one before them of the same
// actor takes everything they match, or because a locked one that holds for all
// of it leaves no domain that would do for both.
func (r *reader) idle(rules []scheduler.Rule) {
	masks := make([]uint16, len(rules))
	for i := range rules {
		masks[i] = limits(&rules[i].Match)
	}
	for i := range rules {
		for j := range rules {
			if i == j || masks[j]&^masks[i] != 0 || len(r.problems) == maxProblems {
				continue
			}
			b, a := &rules[i], &rules[j]
			switch {
			case a.Actor == b.Actor && j < i && covers(&a.Match, &b.Match):
				r.at(fmt.Sprintf("$.rules[%d]", i), "rule %q can never match: rule %q before it matches %s (put it first)",
					b.Name, a.Name, map[bool]string{true: "everything", false: "all of it"}[masks[j] == 0])
			case a.Actor == scheduler.Locked && b.Actor != scheduler.Locked && scheduler.Contradict(a, b) && covers(&a.Match, &b.Match):
				r.at(fmt.Sprintf("$.rules[%d]", i), "rule %q contradicts the locked rule %q: no domain satisfies both, and the locked one stands (change one of them)",
					b.Name, a.Name)
			default:
				continue
			}
			break
		}
	}
}

// limits returns which properties a match limits, a bit for each.
func limits(m *scheduler.Match) uint16 {
	var mask uint16
	for bit, n := range []int{
		len(m.Dst), len(m.Src), len(m.Ports), len(m.Protos), len(m.DSCP), len(m.Names), len(m.Ingress),
		len(m.Users), len(m.Processes), len(m.Cgroups), len(m.When),
	} {
		if n > 0 {
			mask |= 1 << bit
		}
	}
	return mask
}

// covers reports whether a matches whatever b matches, as far as can be told
// without a flow: false where patterns and times are told differently.
func covers(a, b *scheduler.Match) bool {
	return all(a.Dst, b.Dst, covering) && all(a.Src, b.Src, covering) &&
		all(a.Ports, b.Ports, func(x, y scheduler.PortRange) bool { return x.First <= y.First && y.Last <= x.Last }) &&
		all(a.Protos, b.Protos, same[flow.Proto]) && all(a.DSCP, b.DSCP, same[uint8]) && all(a.Names, b.Names, same[string]) &&
		all(a.Ingress, b.Ingress, same[string]) && all(a.Users, b.Users, same[uint32]) && all(a.Processes, b.Processes, same[string]) &&
		all(a.Cgroups, b.Cgroups, same[string]) && all(a.When, b.When, same[scheduler.Window])
}

// all reports whether each value of b lies in one of a; an empty list is
// everything.
func all[T any](a, b []T, in func(x, y T) bool) bool {
	if len(a) == 0 {
		return true
	}
	if len(b) == 0 {
		return false
	}
	for _, y := range b {
		if !slices.ContainsFunc(a, func(x T) bool { return in(x, y) }) {
			return false
		}
	}
	return true
}

func covering(x, y netip.Prefix) bool { return x.Bits() <= y.Bits() && x.Contains(y.Addr()) }

func same[T comparable](x, y T) bool { return x == y }
