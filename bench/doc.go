// Package bench measures whole paths: an app's socket in, the network's out,
// through the real daemon in the lab's namespaces, beside the kernel's direct
// route in the same run.
//
// Method: client, server, both routers and the daemon share the machine.
// iperf3 is the load, with the congestion control set on both ends and for the
// daemon's uplink sockets alike. Direct and mif0 take turns; a figure is the
// median of three turns, and its ratio to the direct route is what counts.
//
//	go test -run '^$' -bench Path -benchtime 1x ./bench
package bench
