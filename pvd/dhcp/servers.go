package dhcp

import (
	"net/netip"
	"slices"
	"time"

	"mifvif/pvd"
)

// Servers are those of one link whose reports are in force. The zero value of all
// but its exported fields is a link where none has answered. Of one goroutine.
type Servers struct {
	Origin  pvd.Origin
	Ifindex int
	Deliver func(pvd.Report)

	said []netip.Addr
}

// Say delivers the report of a server; it returns true if it is the server's first.
func (s *Servers) Say(r pvd.Report) (first bool) {
	if first = !slices.Contains(s.said, r.Sender); first {
		s.said = append(s.said, r.Sender)
	}
	s.Deliver(r)
	return first
}

// Keep takes back what servers said that are none of these; without any, all.
func (s *Servers) Keep(servers ...netip.Addr) {
	s.said = slices.DeleteFunc(s.said, func(server netip.Addr) bool {
		if slices.Contains(servers, server) {
			return false
		}
		now := time.Now()
		s.Deliver(pvd.Report{Origin: s.Origin, Ifindex: s.Ifindex, Sender: server, Received: now, Until: now})
		return true
	})
}
