// Package scheduler decides which provisioning domains a flow may use, best
// first, and says why.
//
// It receives a flow and reads one immutable snapshot of domains and policy; it
// hands on a Decision. It must not know how a domain is reached, what a packet
// looks like or who asks: DNS queries, flows and "explain" call the same
// function (RFC 6418 5.5-E). The stages are those of a strict reconciliation of
// users, administrators and operators (RFC 6418 4.3, 5.3): hard rules remove,
// scope keeps what claims the destination, ranks order, scores break ties.
package scheduler
