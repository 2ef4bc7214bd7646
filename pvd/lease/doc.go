// Package lease is the source of what another network manager of this host knows
// about its links: the leases of systemd-networkd, and the resolvers and domains
// it has a link use, by the state files it keeps below /run/systemd/netif. It
// reads files and changes nothing.
//
// Their content is bounded and checked like what comes from networks, because it
// does: networkd writes down what servers said.
package lease
