// Package dhcp6 is the DHCPv6 source of provisioning domains: on links whose
// routers say that DHCPv6 knows more (M or O, RFC 4861 4.2) it asks by
// information-request (RFC 8415 18.2.6) for resolvers, search lists, time
// servers, address selection tables (RFC 7078), resolvers by zone (RFC 6731),
// the captive portal's API and encrypted resolvers. It leases no address and
// changes nothing in the kernel.
//
// It is told by Watch which links to ask on. What is malformed or was not asked
// for is refused and counted.
//
// In reading order: source.go, exchange.go, message.go, report.go, port.go.
// What clients of both families do alike is in pvd/dhcp.
package dhcp6
