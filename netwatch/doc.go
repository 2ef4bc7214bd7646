// Package netwatch tells what the kernel says now about links, addresses,
// routes and rules of one network namespace.
//
// It receives netlink notifications, which only wake it and say which parts of the
// state to read again; that is compared with the last one and delivered if it
// differs. A lost notification therefore costs time, never truth. However much
// others have the kernel hold, whoever needs the processor gets it meanwhile. It must
// not know what an uplink or a domain is.
//
// It also makes the kernel's routes and rules what somebody wants them to be
// (sync.go): the one place that compares what is there with what should be.
package netwatch
