// Package bench measures whole paths: an app's socket in, the network's out,
// beside the kernel's own ways in the same run.
//
// Method. Three worlds of the lab stand side by side, alike but for the host:
// "direct" routes by its main table and nothing else, "policy" has a rule, a
// table and masquerading as multi-uplink routers do, "mif0" runs the daemon. For
// each row the three take turns, so that whatever else happens on the machine
// happens to all; a figure is the median of the turns, and its ratio to direct
// is what counts. Client, server, routers and daemon share the machine's
// processors. The congestion control is set on the routes of every node.
package bench
