package dns

import (
	"context"
	"net"
	"net/netip"
	"time"

	"mifvif/pvd"
)

// Query is what a choice of domain is made about.
type Query struct {
	// Name is the question's name in lower case with its final dot; "." is the root.
	Name string
	// Type is the question's RR type.
	Type uint16
	// App is who asks: address and port as seen on mif0.
	App netip.AddrPort
	// Reverse is the prefix a name under in-addr.arpa or ip6.arpa stands for
	// (RFC 1035 3.5, RFC 3596 2.5); the zero Prefix for every other name. The
	// decision about it is the one about a flow to its address.
	Reverse netip.Prefix
}

// Choice says which domains may carry a query.
type Choice struct {
	// Domains are the allowed ones, best first; empty: the query must not leave.
	Domains []*pvd.Domain
	// Search are domains that are asked before them because the name may be
	// theirs alone: a positive answer is private, any other tells nothing.
	Search []*pvd.Domain
	// Zone is the zone of these domains that the name lies in, "" if it is a
	// general name. Inside a zone the answer is private and special-use names
	// may leave.
	Zone string
	// MaxTTL caps the TTLs the client sees; 0 leaves them alone.
	MaxTTL time.Duration
	// Reason is one phrase for people, e.g. "weighted by site".
	Reason string
}

// Chooser decides which domains a query may be sent to: the same decision as
// for the app's flows. It must be safe for concurrent use and not block. The
// server sends nothing on a domain it did not name.
// It appends the domains to into, so that nothing is allocated.
type Chooser interface {
	Choose(q Query, into []*pvd.Domain) Choice
}

// Dialer opens a socket inside one domain and no other. Network is "udp"
// (connected, with a source port of the kernel's random choice) or "tcp". The
// caller closes it. It must be safe for concurrent use and honour ctx.
type Dialer interface {
	Dial(ctx context.Context, d *pvd.Domain, network string, dst netip.AddrPort) (net.Conn, error)
}

// Learned is what one positive answer taught: these addresses are where the app
// will go when it means the name.
type Learned struct {
	App   netip.AddrPort
	Name  string // as asked, lower case, without the final dot
	Addrs []netip.Addr
	TTL   time.Duration // the least of the records that led to Addrs
	// Domain is the one whose resolver answered, nil for local answers.
	Domain *pvd.Domain
	// Private: the name lies in one of Domain's zones, its addresses mean
	// nothing elsewhere.
	Private bool
	// Exact: the app must be given the addresses as they are, because it checks
	// them itself (DO or CD).
	Exact bool
}
