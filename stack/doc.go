// Package stack ends the apps' TCP connections: a gVisor network stack that
// answers for every address there is (RFC 6418 3.2-1: apps use plain sockets).
//
// It receives whole IP packets with their virtio headers and hands on Requests:
// a Request is a SYN that nobody has answered yet. Whoever takes it finds out
// whether the destination can be reached and then lets the stack complete the
// app's handshake (Accept) or tell the truth (Refuse). A Conn is joined with
// the uplink's connection by the copy loop of this package. It must not know of
// domains, policy or uplinks; gVisor's types do not leave it.
//
// In the order of a connection: deliver.go, pending.go, request.go, refuse.go,
// conn.go, join.go; link.go is the way back to mif0.
package stack
