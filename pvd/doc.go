// Package pvd holds provisioning domains: the consistent sets of configuration
// that the networks of a host gave it, each kept apart from the others (RFC
// 7556; RFC 6418 5.1: mixing them is the first cause of trouble).
//
// It receives what the kernel says (netwatch.State) and what the configuration
// declares, and hands on immutable Sets. It must not know flows, policy or
// sockets. Nothing of one domain ever fills a gap in another.
package pvd
