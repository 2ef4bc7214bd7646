// Package lab builds worlds in network namespaces: hosts, routers, links with
// delay and loss, servers that say which network and source they saw, and
// observers on every link. Tests, the benchmarks and `mifvif lab` use it.
//
// It needs root and a kernel with network namespaces, veth and TUN; it starts
// no external program and uses none of mifvif's stations: the daemon under test
// is the real binary, seen from outside only.
//
// Nothing of a world has a name outside it. A node is an OS thread of this
// process (cell.Thread) that lives in namespaces of its own; links, routes and filters are
// made inside them. When the process dies, however it dies, the threads die
// with it, its children are killed by the kernel, and the namespaces go with
// the last of them.
//
// In reading order: world.go, node.go and thread.go; link.go, route.go, wire.go
// and filter.go lay the ground; common.go is the laboratory of RFC 6418's
// problems (two access networks, a tunnel, the Internet); shared.go and
// advertiser.go add routers that share a link and advertise; daemon.go runs the
// binary under test; capture.go and snapshot.go look.
package lab
