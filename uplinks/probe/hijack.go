package probe

import (
	"context"
	"crypto/rand"
	"net/netip"
	"slices"
	"strings"

	"mifvif/pvd"
)

// wellKnown is a name whose addresses never change (RFC 7050 8.1, RFC 8880): an
// honest resolver gives these, or none.
const wellKnown = "ipv4only.arpa"

// madeUp reports whether d's resolvers answer whatever they are asked: a wrong
// address for a name with known ones, and an address for a name that nobody can
// have (RFC 6761 6.4). Both, because a resolver that leads to advertisements
// only where a name does not exist is a nuisance and no portal.
func (w *watcher) madeUp(ctx context.Context, d *pvd.Domain) bool {
	if len(d.Resolvers) == 0 {
		return false
	}
	known, err := w.cfg.Lookup(ctx, d, wellKnown)
	if err != nil || !slices.ContainsFunc(known, forged) {
		return false
	}
	nobodys, err := w.cfg.Lookup(ctx, d, strings.ToLower(rand.Text())+".invalid")
	return err == nil && len(nobodys) > 0
}

// forged reports whether an IPv4 address is not one of the well-known name's.
// IPv6 addresses are synthesised where there is NAT64 and prove nothing.
func forged(a netip.Addr) bool {
	return a.Is4() && a != netip.AddrFrom4([4]byte{192, 0, 0, 170}) && a != netip.AddrFrom4([4]byte{192, 0, 0, 171})
}
