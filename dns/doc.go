// Package dns is the resolver that lives at mif0's second address. It takes an
// app's query, asks a Chooser which domains may carry it, and forwards it to
// the resolvers of the first that answers, exclusively through that domain
// (RFC 6418 4.1, RFC 6731, RFC 7556 5.2). It listens on nothing: queries come
// from mif0 as UDP payloads and as connections.
//
// The way of a query, in the order of the files:
//
//  1. udp.go, tcp.go take it in, bounded by admit.go.
//  2. request.go parses it; what is no plain query is refused there.
//  3. resolve.go is the straight line: special.go answers the names that must
//     never leave (RFC 6761), then the Chooser speaks, then its domains are
//     asked in order.
//  4. consult.go looks into the domain's cache (cache.go), which dies with the
//     domain instance, and asks for everybody who waits for the same.
//     multicast.go asks the neighbours of one link about names below local,
//     nat64.go makes IPv6 addresses for networks that have nothing else.
//  5. domain.go asks one domain: its servers rotate, the dead ones last.
//  6. exchange.go asks one server: UDP, then TCP where the answer was cut.
//  7. learn.go tells which addresses the name gave; names.go remembers them with
//     their domain, and aliases.go tells two domains' equal addresses apart.
//  8. hints.go takes addresses out of service records; entry.go turns the answer
//     into the client's: its id, its question as it was spelt, its EDNS, its size.
//
// It must not know rules, routes or sockets: those are the Chooser's and the
// Dialer's. Only miekg/dns parses and builds messages.
package dns
