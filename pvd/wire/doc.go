// Package wire reads what router advertisements, DHCPv4 and DHCPv6 encode the
// same way: lists of DNS names, encrypted resolvers (RFC 9463), reverse
// networks of RFC 6731 and the URI of a captive portal's API (RFC 8910). It
// gets the content of one option and hands back values that are bounded and
// safe to show; it knows nothing of sockets, lifetimes and domains.
//
// All of its input is hostile: nothing is read past its end, no list grows
// beyond a bound, no name holds anything but letters, digits, hyphens and
// underscores.
package wire
