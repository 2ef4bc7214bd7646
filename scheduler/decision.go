package scheduler

import (
	"net/netip"
	"time"

	"mifvif/pvd"
)

// MaxCandidates is how many domains one decision names at the most.
const MaxCandidates = 8

// Candidate is one domain a flow may be put on.
type Candidate struct {
	Domain *pvd.Domain
	// Source is the source address the flow must leave with: one of Domain's.
	Source netip.Addr
	// To is where the flow goes inside Domain in truth: the address that stands for
	// an IPv4 destination behind its NAT64 (RFC 6052). The zero Addr: where it says.
	To netip.Addr
}

// Refusal says why a decision has no candidate, so that the app is told the
// truth at once.
type Refusal uint8

// The refusals.
const (
	NotRefused Refusal = iota
	// NoRoute: no usable domain carries this family or destination (ICMP 3/0, ICMPv6 1/0).
	NoRoute
	// Prohibited: a rule left nothing (ICMP 3/13, ICMPv6 1/1).
	Prohibited
)

// OnFailure is what becomes of a flow when its domain dies (contract: on_failure).
type OnFailure uint8

// The words of on_failure. A Decision never carries FailInherit.
const (
	FailInherit OnFailure = iota // what the defaults say, FailAuto if nothing
	FailAuto                     // TCP reset, UDP moves where allowed
	FailReset
	FailMigrate
	FailHold
)

// OnRecovery is what becomes of a flow when a better domain is back (contract:
// on_recovery).
type OnRecovery uint8

// The words of on_recovery. A Decision never carries RecoverInherit.
const (
	RecoverInherit OnRecovery = iota // what the defaults say, RecoverStay if nothing
	RecoverStay
	RecoverMoveIdle
	RecoverReset
)

// Decision is the outcome for one flow: candidates best first, and the reason.
// It is a value without allocations of its own; the strings it holds live in
// the snapshot that was read. RFC 6418 3.7-2, 5.3-C: deterministic and
// explained.
type Decision struct {
	candidates [MaxCandidates]Candidate
	n          int

	Rule    string // name of the strongest rule that spoke, "" for the defaults
	Actor   string // "user", "admin", "operator" or "default"
	Reason  string // one phrase for people, e.g. "weighted choice"
	Refusal Refusal
	// PerDestination: a rule, a claim or the scope of private addresses names
	// the destination, so the decision holds for this destination only, not for
	// the whole app socket (RFC 4787 REQ-1 for all others). It is always what
	// Scheduler.Named says of the same flow.
	PerDestination bool
	// Zone is the zone that decided about a name (in lower case, without final
	// dot), "" if none did.
	Zone string

	OnFailure        OnFailure
	OnRecovery       OnRecovery
	RecoveryDeadline time.Duration // with RecoverMoveIdle; 0: none

	// MPTCP is MultipathOff for all but TCP.
	MPTCP MPTCP
	// Alike is how many candidates, from the first, are as good as it: together they
	// carry a multipath flow, the others stand by. It is set with MPTCP only, and at
	// least 1 then.
	Alike int

	// Path is PathTerminate or PathTranslate, the latter for TCP only; PathWhy is one
	// phrase for people why, "" for other protocols and for what is refused.
	Path    Path
	PathWhy string
	// Patience is how long the first candidate may be silent before the others are
	// tried, too, and the flow is terminated after all; 0: for as long as its app waits.
	Patience time.Duration

	// Race: that many candidates, from the first, may be tried side by side (RFC
	// 8305, across domains); 0 where they must be tried one after the other.
	Race      int
	RaceAfter time.Duration // between the first SYN to each
}

// Candidates returns the domains to try, best first; empty when refused. The
// slice points into d.
func (d *Decision) Candidates() []Candidate { return d.candidates[:d.n] }
