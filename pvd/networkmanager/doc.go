// Package networkmanager is the source of what NetworkManager knows about this
// host's links: the leases its DHCP clients got, and the resolvers and domains
// that are in force on each device, its user's own included. It asks on the system
// bus, listens for changes and changes nothing.
//
// Its content is bounded and checked like what comes from networks, because it
// does: NetworkManager hands on what servers said.
package networkmanager
