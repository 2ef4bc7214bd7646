package scheduler

import (
	"net/netip"

	"mifvif/flow"
)

// Actor is who a rule comes from, strongest first (RFC 6418 4.3-3).
type Actor uint8

// The actors, in the order in which their hard rules apply.
const (
	Locked Actor = iota // administrator's rules marked locked
	User
	Admin
	Operator
	Default
)

// String returns the word of the JSON key "actor".
func (a Actor) String() string {
	return [...]string{"admin", "user", "admin", "operator", "default"}[a]
}

// Algorithm breaks ties between domains of equal rank.
type Algorithm uint8

// The algorithms there are.
const (
	Inherit  Algorithm = iota // what the defaults say
	Weighted                  // in proportion to weights, sticky by affinity
	Priority                  // the order of preference, then route metric, then name
)

// Affinity is which flows are kept together on one domain.
type Affinity uint8

// The affinities there are.
const (
	AffinityInherit Affinity = iota
	AffinityNone             // each flow for itself
	AffinityDestination
	AffinitySite // the registrable domain of the name, else the destination
	AffinitySource
)

// PortRange is an inclusive range of destination ports.
type PortRange struct{ First, Last uint16 }

// Match is what a rule is about. An empty list matches everything; all lists
// that are not empty must match.
type Match struct {
	Dst, Src []netip.Prefix
	Ports    []PortRange
	Protos   []flow.Proto // ICMP stands for both families
	DSCP     []uint8
}

// Rule is one rule of one actor. Inside an actor the first rule that matches
// speaks and no other.
type Rule struct {
	Name      string
	Actor     Actor
	Match     Match
	Require   []string // only these domains, or refuse
	Prefer    []string // soft order
	Forbid    []string
	Algorithm Algorithm
	Affinity  Affinity
	OnFailure OnFailure
}

// Policy is everything that is decided by rules. It is immutable once published.
type Policy struct {
	Rules     []Rule // in file order
	Algorithm Algorithm
	Affinity  Affinity
	OnFailure OnFailure
}

// matches reports whether the rule speaks for f.
func (m *Match) matches(f *flow.Flow) bool {
	return contains(m.Dst, f.Dst.Addr()) && contains(m.Src, f.Src.Addr()) &&
		m.port(f.Dst.Port()) && m.proto(f.Proto) && m.dscp(f.DSCP)
}

// contains reports whether a lies in one of the prefixes, or there are none.
func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	if len(prefixes) == 0 {
		return true
	}
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (m *Match) port(port uint16) bool {
	if len(m.Ports) == 0 {
		return true
	}
	for _, r := range m.Ports {
		if r.First <= port && port <= r.Last {
			return true
		}
	}
	return false
}

func (m *Match) proto(p flow.Proto) bool {
	if len(m.Protos) == 0 {
		return true
	}
	if p == flow.ICMPv6 {
		p = flow.ICMP
	}
	for _, want := range m.Protos {
		if want == p {
			return true
		}
	}
	return false
}

func (m *Match) dscp(code uint8) bool {
	if len(m.DSCP) == 0 {
		return true
	}
	for _, want := range m.DSCP {
		if want == code {
			return true
		}
	}
	return false
}

// namesDestination reports whether the rule tells destinations apart, so that
// its decision holds for one destination and not for the whole app socket.
func (m *Match) namesDestination() bool { return len(m.Dst) > 0 || len(m.Ports) > 0 }
