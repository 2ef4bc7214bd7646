package scheduler

import (
	"net/netip"
	"slices"
	"time"

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
	actors // how many there are
)

// String returns the word of the JSON key "actor".
func (a Actor) String() string {
	switch a {
	case Locked, Admin:
		return "admin"
	case User:
		return "user"
	case Operator:
		return "operator"
	}
	return "default"
}

// Algorithm breaks ties between domains of equal rank.
type Algorithm uint8

// The algorithms there are.
const (
	Inherit       Algorithm = iota // what the defaults say, Weighted if nothing
	Weighted                       // in proportion to weights, or to bandwidths, sticky by affinity
	Priority                       // the declared order, then route metric, then name
	Overflow                       // Priority, but past the domains that are full: by declared bandwidth, or as found
	LeastUsed                      // the least part of the bandwidth in use, then the fewest flows
	LowestLatency                  // the shortest round trip to the destination, as flows have shown
	Fastest                        // LowestLatency, and the first candidates race
	Persistent                     // Priority, and what is once on a domain stays there
	algorithms                     // how many there are
)

// byOrder reports whether the algorithm follows the declared order.
func (a Algorithm) byOrder() bool { return a == Priority || a == Overflow || a == Persistent }

// sticks reports whether flows of one affinity stay together. Priority and
// Overflow follow their order for each flow.
func (a Algorithm) sticks() bool { return a != Priority && a != Overflow }

// byLatency reports whether the algorithm asks what paths are like.
func (a Algorithm) byLatency() bool { return a == LowestLatency || a == Fastest }

// Affinity is which flows are kept together on one domain.
type Affinity uint8

// The affinities there are.
const (
	AffinityInherit     Affinity = iota // what the defaults say, AffinitySite if nothing
	AffinityNone                        // each flow for itself
	AffinityDestination                 // app side and destination address
	AffinitySite                        // app side and registrable domain of the name, else destination
	AffinitySource                      // app side
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
	// Names are patterns of the name whose answer led to the destination:
	// "www.example.com" is that name, "*.example.com" every name below it, a *
	// elsewhere any characters. Flows whose name is not known do not match.
	Names   []string
	Ingress []string // LAN interfaces; a flow of the host itself does not match

	// Whose socket the flow is. Flows from a LAN, and those whose owner is not
	// known, do not match.
	Users     []uint32
	Processes []string // names as in /proc/PID/comm
	Cgroups   []string // paths; everything below a group is in it

	When []Window // of local time
}

// Window is a part of each week: from First to Last, in minutes of the day, on
// some days; what goes beyond midnight belongs to the day it began on.
type Window struct {
	Days        [7]bool // by time.Weekday
	First, Last int     // Last is no part of it; not after First: it ends on the next day
}

const day = 24 * 60

// minuteOfWeek is what Windows are compared with.
func minuteOfWeek(t time.Time) int {
	return int(t.Weekday())*day + t.Hour()*60 + t.Minute()
}

// contains reports whether a minute of the week lies in the window.
func (w *Window) contains(minute int) bool {
	if minute < 0 {
		return false
	}
	today, at := minute/day, minute%day
	if w.First < w.Last {
		return w.Days[today] && w.First <= at && at < w.Last
	}
	return w.Days[today] && at >= w.First || w.Days[(today+6)%7] && at < w.Last
}

// Rule is one rule of one actor. Inside an actor the first rule that matches
// speaks and no other.
type Rule struct {
	Name  string
	Actor Actor
	Match Match

	Require []string // only these domains, or refuse
	Prefer  []string // soft order
	Forbid  []string

	Algorithm        Algorithm
	Affinity         Affinity
	OnFailure        OnFailure
	OnRecovery       OnRecovery
	RecoveryDeadline time.Duration
	Race             bool // the first candidates are tried at once
	MPTCP            MPTCP
	Path             Path
}

// Policy is everything that is decided by rules. It is immutable once published.
// The zero Policy is the built-in default.
type Policy struct {
	Rules []Rule // in file order

	// What holds where no rule says otherwise.
	Algorithm        Algorithm
	Affinity         Affinity
	OnFailure        OnFailure
	OnRecovery       OnRecovery
	RecoveryDeadline time.Duration
	Path             Path
	// Order is the order of the priority algorithm; domains that it does not
	// name come after it, by route metric.
	Order []string
}

// hard reports whether the rule may take a candidate away.
func (r *Rule) hard() bool { return len(r.Require) > 0 || len(r.Forbid) > 0 }

// allows reports whether the hard part of the rule lets a domain of that name be.
func (r *Rule) allows(name string) bool {
	return (len(r.Require) == 0 || slices.Contains(r.Require, name)) && !slices.Contains(r.Forbid, name)
}

// Contradict reports whether no domain could ever satisfy the hard parts of both
// rules.
func Contradict(a, b *Rule) bool {
	if !a.hard() || !b.hard() || len(a.Require)+len(b.Require) == 0 {
		return false
	}
	for _, name := range slices.Concat(a.Require, b.Require) {
		if a.allows(name) && b.allows(name) {
			return false
		}
	}
	return true
}

// effect returns the strongest word of a rule.
func (r *Rule) effect() string {
	switch {
	case len(r.Require) > 0:
		return "require"
	case len(r.Forbid) > 0:
		return "forbid"
	case len(r.Prefer) > 0:
		return "prefer"
	}
	return "choose"
}
