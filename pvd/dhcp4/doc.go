// Package dhcp4 is the DHCPv4 source of provisioning domains (RFC 2131). On a
// link whose address another client leased it asks for the rest by DHCPINFORM,
// because a lease file has no room for captive portals, routes without class or
// encrypted resolvers; where the configuration says so it is the client itself.
// Either way it hands out pvd.Reports and changes nothing in the kernel: the
// address of a lease is in the report for whoever puts it in place.
//
// It is told by Watch which links to work on. It must not know what domains are
// made of its reports (RFC 6418 5.1: every network's configuration is kept
// apart), and it believes no answer: what is malformed, was not asked for or
// contradicts the link is refused and counted.
//
// In reading order: source.go (who works on which link), inform.go and
// client.go (the two ways of asking), exchange.go (one question and its
// answer), request.go and answer.go (the messages), report.go and routes.go
// (what an answer says), port.go and arp.go (the wire). What clients of both
// families do alike is in pvd/dhcp.
package dhcp4
