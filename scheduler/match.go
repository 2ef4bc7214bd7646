package scheduler

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	"mifvif/flow"
)

// subject is a flow as matches, claims and affinity look at it: addresses
// unmapped, the name in lower case without its final dot.
type subject struct {
	flow.Flow
	src, dst netip.Addr
	family   int        // 0 for IPv4, 1 for IPv6
	proto    flow.Proto // ICMP for both families
	minute   int        // of the week, -1 where no rule asks for it
}

// newSubject restates f. It does not allocate unless the name has capitals.
func newSubject(f flow.Flow) subject {
	s := subject{Flow: f, src: f.Src.Addr().Unmap(), dst: f.Dst.Addr().Unmap()}
	s.Name = strings.ToLower(strings.TrimSuffix(f.Name, "."))
	s.family, s.proto, s.minute = family(s.dst.Is6()), f.Proto, -1
	if f.Proto == flow.ICMPv6 {
		s.proto = flow.ICMP
	}
	return s
}

func family(is6 bool) int {
	if is6 {
		return 1
	}
	return 0
}

// matches reports whether the rule is about f.
func (m *Match) matches(f *subject) bool { return m.concerns(f) && m.owned(f) }

// concerns reports whether the rule is about f, whoever has its socket.
func (m *Match) concerns(f *subject) bool {
	return in(m.Protos, f.proto) && m.port(f.Dst.Port()) && in(m.DSCP, f.DSCP) && in(m.Ingress, f.Ingress) &&
		contain(m.Dst, f.dst) && contain(m.Src, f.src) && m.name(f.Name) && m.now(f.minute)
}

// owned reports whether f is of the users, processes and groups of the rule.
func (m *Match) owned(f *subject) bool {
	o := &f.Owner
	return (len(m.Users) == 0 || o.Known && slices.Contains(m.Users, o.UID)) &&
		in(m.Processes, o.Process) && m.cgroup(o.Cgroup)
}

// cgroup reports whether a group is one of the rule's, or lies in one.
func (m *Match) cgroup(group string) bool {
	return anyOf(m.Cgroups, func(c string) bool {
		rest, ok := strings.CutPrefix(group, c)
		return ok && (rest == "" || rest[0] == '/')
	})
}

// now reports whether the rule holds at a minute of the week.
func (m *Match) now(minute int) bool {
	return anyOf(m.When, func(w Window) bool { return w.contains(minute) })
}

// anyOf reports whether any of the list is such, or there is none.
func anyOf[T any](list []T, is func(T) bool) bool {
	return len(list) == 0 || slices.ContainsFunc(list, is)
}

// in reports whether v is in the list, or there is none.
func in[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

// contain reports whether a lies in one of the prefixes, or there are none.
func contain(prefixes []netip.Prefix, a netip.Addr) bool {
	return anyOf(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (m *Match) port(port uint16) bool {
	return anyOf(m.Ports, func(r PortRange) bool { return r.First <= port && port <= r.Last })
}

func (m *Match) name(name string) bool {
	return anyOf(m.Names, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return name != "" && err == nil && ok
	})
}

// canonical returns the match in the form that matches compares with: names in
// lower case without final dot, the ICMPs as one. The original stays as it is.
func (m Match) canonical() Match {
	m.Names, m.Protos = slices.Clone(m.Names), slices.Clone(m.Protos)
	for i, n := range m.Names {
		m.Names[i] = strings.ToLower(strings.TrimSuffix(n, "."))
	}
	for i, p := range m.Protos {
		if p == flow.ICMPv6 {
			m.Protos[i] = flow.ICMP
		}
	}
	m.Cgroups = slices.Clone(m.Cgroups)
	for i, c := range m.Cgroups {
		m.Cgroups[i] = "/" + strings.Trim(c, "/")
	}
	return m
}

// tellsApart reports whether the match tells destinations of one app socket of
// the family apart. A whole family does not: a socket's flows are of one family.
func (m *Match) tellsApart(family int) bool {
	return m.wide() || m.narrow(family)
}

// wide reports whether the match is limited by something of the destination
// other than its address.
func (m *Match) wide() bool { return len(m.Ports) > 0 || len(m.Names) > 0 }

// narrow reports whether the match is limited to some addresses of the family.
func (m *Match) narrow(family int) bool {
	return len(m.Dst) > 0 && !slices.ContainsFunc(m.Dst, func(p netip.Prefix) bool {
		return p.Bits() == 0 && p.Addr().Is6() == (family == 1)
	})
}
