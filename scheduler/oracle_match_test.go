package scheduler

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// firstMatch returns the first rule of an actor that is about the flow.
func (s *stage) firstMatch(actor Actor) *Rule {
	for i := range s.policy.Rules {
		if r := &s.policy.Rules[i]; r.Actor == actor && isAbout(&r.Match, s.f) && isOf(&r.Match, s.f) {
			return r
		}
	}
	return nil
}

func (s *stage) namedByRule() bool {
	for i := range s.policy.Rules {
		m := &s.policy.Rules[i].Match
		whole := someOf(m.Dst, func(p netip.Prefix) bool { return p.Bits() == 0 && p.Addr().Is6() == s.is6 })
		if isAbout(m, s.f) && (len(m.Ports) > 0 || len(m.Names) > 0 || len(m.Dst) > 0 && !whole) {
			return true
		}
	}
	return false
}

func someOf[T any](list []T, is func(T) bool) bool { return slices.ContainsFunc(list, is) }

// allows reports whether an empty list, or one of a list's values, is the flow's.
func allows[T any](list []T, is func(T) bool) bool { return len(list) == 0 || someOf(list, is) }

// isAbout looks at everything but whose the flow is.
func isAbout(m *Match, f flow.Flow) bool {
	now := time.Now()
	return allows(m.Dst, func(p netip.Prefix) bool { return p.Contains(f.Dst.Addr()) }) &&
		allows(m.Src, func(p netip.Prefix) bool { return p.Contains(f.Src.Addr()) }) &&
		allows(m.Ports, func(p PortRange) bool { return p.First <= f.Dst.Port() && f.Dst.Port() <= p.Last }) &&
		allows(m.Protos, func(p flow.Proto) bool { return p.String() == f.Proto.String() }) &&
		allows(m.DSCP, func(d uint8) bool { return d == f.DSCP }) &&
		allows(m.Ingress, func(i string) bool { return i == f.Ingress }) &&
		allows(m.Names, func(p string) bool { return isCalled(p, f.Name) }) &&
		allows(m.When, func(w Window) bool { return isNow(w, now) })
}

func isOf(m *Match, f flow.Flow) bool {
	return allows(m.Users, func(u uint32) bool { return f.Owner.Known && u == f.Owner.UID }) &&
		allows(m.Processes, func(p string) bool { return p == f.Owner.Process }) &&
		allows(m.Cgroups, func(c string) bool { return f.Owner.Cgroup == c || strings.HasPrefix(f.Owner.Cgroup, c+"/") })
}

// isCalled knows the two kinds of patterns of randomPolicy.
func isCalled(pattern, name string) bool {
	if below, ok := strings.CutPrefix(pattern, "*"); ok {
		return len(name) > len(below) && strings.HasSuffix(name, below)
	}
	return name == pattern
}

// isNow tries each day the window may have begun on.
func isNow(w Window, now time.Time) bool {
	for _, ago := range []int{0, 1} {
		midnight := time.Date(now.Year(), now.Month(), now.Day()-ago, 0, 0, 0, 0, now.Location())
		begin, end := midnight.Add(time.Duration(w.First)*time.Minute), midnight.Add(time.Duration(w.Last)*time.Minute)
		if w.First >= w.Last {
			end = end.AddDate(0, 0, 1)
		}
		if w.Days[midnight.Weekday()] && !now.Before(begin) && now.Before(end) {
			return true
		}
	}
	return false
}

// area is a zone with who has it.
type area struct {
	name   string
	owners []*pvd.Domain
	class  int
}

// zoneOf returns the zone that decides about a name: of all that hold it those
// believed most, of these the longest.
func (s *stage) zoneOf(name string) *area {
	if name == "" {
		return nil
	}
	var best *area
	labels := strings.Split(name, ".")
	for i := range labels {
		if z := s.area(strings.Join(labels[i:], ".")); z != nil && (best == nil || z.class > best.class) {
			best = z
		}
	}
	return best
}

// area returns who has one zone, nil if nobody has.
func (s *stage) area(name string) *area {
	type claim struct {
		d           *pvd.Domain
		class, rank int
	}
	var all []claim
	for _, d := range s.domains {
		for _, z := range slices.Concat(d.Zones, s.told[d.Name]) {
			if class := believedAs(d, z); z.Name == name && class >= 0 {
				all = append(all, claim{d, class, int(z.Preference)})
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	best := slices.MaxFunc(all, func(a, b claim) int {
		if a.class != b.class {
			return a.class - b.class
		}
		return a.rank - b.rank
	})
	claims := filter(s.domains, func(d *pvd.Domain) bool { return someOf(all, func(c claim) bool { return c.d == d }) })
	if best.class == 0 && len(claims) > 1 {
		return nil
	}
	owners := filter(s.domains, func(d *pvd.Domain) bool {
		return someOf(all, func(c claim) bool { return c.d == d && c.class == best.class && c.rank == best.rank })
	})
	return &area{name, owners, best.class}
}

// believedAs returns how far a claim is believed, -1 if not at all. It knows the
// names of randomZones.
func believedAs(d *pvd.Domain, z pvd.Zone) int {
	switch {
	case z.Origin == pvd.FromConfig:
		return 3
	case z.Name == "com" || z.Name == "":
		return -1
	case d.Trust == pvd.Trusted:
		return 2
	case z.Server.IsValid():
		return -1
	case d.Trust == pvd.Authenticated && strings.HasSuffix("."+z.Name, strings.TrimPrefix(d.ID, "pvd")):
		return 1
	case d.Trust == pvd.Authenticated:
		return -1
	}
	return 0
}
