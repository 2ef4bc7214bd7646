package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

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
	if len(r.problems) == 0 {
		r.sometimes(rules)
	}
}

// sometimes warns of rules that a locked one contradicts for part of what they are
// about.
func (r *reader) sometimes(rules []scheduler.Rule) {
	for i := range rules {
		for j := range rules {
			if a, b := &rules[j], &rules[i]; a.Actor < b.Actor && meet(&a.Match, &b.Match) && scheduler.Contradict(a, b) {
				r.warn(fmt.Sprintf("$.rules[%d]", i), "rule %q is dropped where the locked rule %q matches too: no domain satisfies both", b.Name, a.Name)
				break
			}
		}
	}
}

// reachable finds rules about LANs that are not carried.
func (r *reader) reachable(cfg *Config) {
	for i := range cfg.Policy.Rules {
		rule := &cfg.Policy.Rules[i]
		if in := rule.Match.Ingress; len(in) > 0 && !slices.ContainsFunc(in, func(name string) bool { return slices.Contains(cfg.LANs, name) }) {
			r.at(fmt.Sprintf("$.rules[%d].match.ingress", i), "rule %q can never match: %s is not among router.lans (add it there)", rule.Name, in[0])
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
		all(a.Protos, b.Protos, same[flow.Proto]) && all(a.DSCP, b.DSCP, same[uint8]) && all(a.Names, b.Names, naming) &&
		all(a.Ingress, b.Ingress, same[string]) && all(a.Users, b.Users, same[uint32]) && all(a.Processes, b.Processes, same[string]) &&
		all(a.Cgroups, b.Cgroups, holding) && all(a.When, b.When, same[scheduler.Window])
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

// naming reports whether pattern x matches every name that y does, as far as it is
// told by what stands behind the first *.
func naming(x, y string) bool {
	x, y = strings.ToLower(strings.TrimSuffix(x, ".")), strings.ToLower(strings.TrimSuffix(y, "."))
	below, ok := strings.CutPrefix(x, "*")
	if !ok || strings.ContainsAny(below, `*?[\`) {
		return x == y
	}
	return len(y) > len(below) && strings.HasSuffix(y, below)
}

// holding reports whether group y is x or lies in it.
func holding(x, y string) bool {
	x, y = "/"+strings.Trim(x, "/"), "/"+strings.Trim(y, "/")
	return x == y || strings.HasPrefix(y, x+"/")
}

// meet reports whether a flow may be matched by both, as far as can be told
// without one: true where patterns of names and times are told differently.
func meet(a, b *scheduler.Match) bool {
	return some(a.Dst, b.Dst, netip.Prefix.Overlaps) && some(a.Src, b.Src, netip.Prefix.Overlaps) &&
		some(a.Ports, b.Ports, func(x, y scheduler.PortRange) bool { return x.First <= y.Last && y.First <= x.Last }) &&
		some(a.Protos, b.Protos, same[flow.Proto]) && some(a.DSCP, b.DSCP, same[uint8]) && some(a.Names, b.Names, overlapping) &&
		some(a.Ingress, b.Ingress, same[string]) && some(a.Users, b.Users, same[uint32]) && some(a.Processes, b.Processes, same[string]) &&
		some(a.Cgroups, b.Cgroups, func(x, y string) bool { return holding(x, y) || holding(y, x) })
}

// some reports whether a value of a and one of b go together; an empty list is
// everything.
func some[T any](a, b []T, together func(x, y T) bool) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(x T) bool {
		return slices.ContainsFunc(b, func(y T) bool { return together(x, y) })
	})
}

// overlapping reports whether a name may be matched by two patterns.
func overlapping(x, y string) bool {
	return naming(x, y) || naming(y, x) || strings.ContainsAny(strings.TrimPrefix(x, "*"), "*?") || strings.ContainsAny(strings.TrimPrefix(y, "*"), "*?")
}

func same[T comparable](x, y T) bool { return x == y }
