// Package scenario plays the problems of RFC 6418 against the real binary. Each
// problem is a Scenario with the id of its row; it is black-box: apps are plain
// sockets and Debian's tools, observers are servers, captures and counters
// outside the host.
//
// The same scenario can be played against the plain kernel in the same world,
// with both default routes and their metrics. What the kernel passes too proves
// nothing about mifvif, and its title says so ("the kernel too").
//
// run.go plays, env.go, talk.go, see.go, hops.go, stream.go and domain.go are what
// scenarios are written with,
// rows_*.go are the rows in the order of RFC 6418, checks.go and load.go what
// else a host's traffic needs.
package scenario
