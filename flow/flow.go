// Package flow holds the value that travels through every station: one
// five-tuple with the little that is known about who sends it.
//
// It knows nothing of packets, domains or policy, and imports nothing of ours.
package flow

import (
	"net/netip"
	"strconv"
)

// Proto is an IP protocol number (IANA "Assigned Internet Protocol Numbers").
type Proto uint8

// The protocols mifvif carries.
const (
	ICMP   Proto = 1
	TCP    Proto = 6
	UDP    Proto = 17
	ICMPv6 Proto = 58
)

// String returns the name used in configuration and JSON: "tcp", "udp",
// "icmp" (both families), or the decimal number of any other protocol.
func (p Proto) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case ICMP, ICMPv6:
		return "icmp"
	}
	return strconv.Itoa(int(p))
}

// Flow is what a decision is made about. It is a small value: copy it, compare
// it, never share a pointer to it. The zero Flow is not a flow (Valid is false).
type Flow struct {
	Proto Proto
	// Src is the app's side as it was seen on mif0; for ICMP echo the port is
	// the identifier.
	Src netip.AddrPort
	// Dst is where the app wants to go; for ICMP the port is 0.
	Dst netip.AddrPort
	// DSCP is the six-bit code point of the first packet (RFC 2474), without ECN.
	DSCP uint8
	// Multipath: the SYN asks for Multipath TCP (RFC 8684).
	Multipath bool
	// Ingress is the LAN interface the flow came in by, "" for the host's own.
	Ingress string
	// Name is the name whose answer gave Dst, "" if none is known.
	Name string
	// Bound is the domain whose handle the app has bound its socket to, or that its
	// command was started for (Confined); "" if none.
	Bound    string
	Confined bool
	// Owner is who has the socket of a local flow.
	Owner Owner
	// Answer says whose answer gave Dst; the zero Answer is nobody's.
	Answer Answer
}

// Owner is whose a flow of this host is. The zero Owner means that nobody has
// asked, or that nobody is known.
type Owner struct {
	Known   bool // UID is set
	UID     uint32
	PID     int    // 0: not known
	Process string // name as in /proc/PID/comm
	Cgroup  string // path in the unified hierarchy, "" if not known
}

// Answer names the domain instance whose resolver gave an app an address.
type Answer struct {
	Slot     uint16 // of the instance, as is Attached
	Attached uint64
	Known    bool
	// Private: the name lies in a zone of the domain, or the address was made up
	// for it, so that it means nothing elsewhere.
	Private bool
}

// Ends are the two ends of a connection of this host's.
type Ends struct{ Local, Remote netip.AddrPort }

// Valid reports whether both ends are set and of one family.
func (f Flow) Valid() bool {
	return f.Src.IsValid() && f.Dst.IsValid() && f.Is6() == f.Src.Addr().Unmap().Is6()
}

// Is6 reports whether the flow is an IPv6 flow.
func (f Flow) Is6() bool { return f.Dst.Addr().Unmap().Is6() }

// String returns "tcp 198.18.0.1:4242 -> 203.0.113.80:443".
func (f Flow) String() string {
	return f.Proto.String() + " " + f.Src.String() + " -> " + f.Dst.String()
}
