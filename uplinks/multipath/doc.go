// Package multipath speaks with the kernel about Multipath TCP (RFC 8684): it asks
// a connection for its token and its subflows, and has the kernel make and end
// subflows of single connections, which the kernel calls a path manager in user
// space (generic netlink family mptcp_pm).
//
// It receives sockets, tokens and addresses; it knows nothing of domains and policy.
// It is for RFC 6418 3.4-2 and 3.8-5: sessions that outlive a path.
package multipath
