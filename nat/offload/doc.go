// Package offload has the kernel translate TCP and UDP: two small programs rewrite
// the packets of flows that are in their maps, one where they enter mif0, one where
// the answers enter an uplink, and hand them on. Neither crosses into user space.
//
// It receives flows by their two sides and returns what passed. It must not
// know policy, ports or when a flow ends: all of that is nat's. Whatever the
// programs do not know they leave to the kernel's usual way: on mif0 that leads
// to the house, so the SYN of a new flow is always decided by it.
//
// layout.go is what the maps hold, program.go the programs, in the order in which
// they look at a packet; offload.go puts them in place (tcx, Linux 6.6). The
// links die with their descriptors: nothing is left when the process is.
package offload
