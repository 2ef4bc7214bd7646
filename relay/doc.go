// Package relay is the conductor: the only code that sees all stations. It
// takes what mif0 delivers, asks for a decision, puts the flow on an uplink and
// watches over it until it ends. It carries the result of one station to the
// next as values and knows none of their inner workings.
//
// The way of a flow, in the order of the files:
//
//  1. ingress.go reads a batch from mif0, or from an inlet, drops what cannot be an app's packet
//     and sorts the rest by protocol.
//  2. tcp.go: the stack holds a SYN back; scheduler.Pick names candidates;
//     uplinks.DialTCP tries them in order; the app hears "connected" only after
//     an uplink did (RFC 6418 4.4, RFC 8305 below the app's own racing).
//  3. udp.go: the first packet of an app socket gets a decision and a binding
//     (RFC 4787); later packets go straight through nat.
//  4. icmp.go: echo requests alike (RFC 5508).
//  5. dns.go: queries to the resolver's address never leave as flows.
//  6. ground.go: when a domain dies its flows lose their ground: TCP is reset,
//     bindings go, other domains notice nothing.
//
// Refusals are answered with the truth (RFC 1122 3.2.2.1, RFC 4443 3.1): never
// "any uplink".
package relay
