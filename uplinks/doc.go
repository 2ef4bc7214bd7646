// Package uplinks is the way out: for every domain a routing table and the
// rules that lead to it, sockets that are bound to one domain, and the guard
// that keeps uplinks apart.
//
// It receives a pvd.Set and the kernel's present state and makes the kernel's
// what the Set asks for, again and again; it hands on sockets. It must not know
// flows, policy or mif0. RFC 6418 3.3-1 (strong host), 4.5-2, 5.3-A; RFC 1122
// 3.3.4.2, RFC 3704.
//
// A socket carries its domain's mark, its device and its source address. The
// mark leads to the domain's table, which ends in "unreachable": a domain that
// has no route for a destination says so, and no other is asked.
package uplinks
