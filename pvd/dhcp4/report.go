package dhcp4

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"mifvif/pvd"
	"mifvif/pvd/wire"
)

// minMTU is the least MTU that a server may name (RFC 2132 5.1).
const minMTU = 68

// Report restates what an answer says about the link and the address on it.
// refused counts the objects that were left out because they cannot be true.
// Resolvers of option 146 are read only where the network is trusted (RFC 6731
// 4.3).
func (a *Answer) Report(link Link, on netip.Prefix, received time.Time) (r pvd.Report, refused int) {
	r = pvd.Report{Origin: pvd.FromDHCPv4, Ifindex: link.Index, Sender: a.Server, Received: received}
	refused += a.routes(&r, on)
	refused += a.resolvers(&r, on.Addr())
	if b, ok := a.options[optSelection]; ok && link.Trusted {
		if s, err := wire.SelectedFromDHCPv4(b); err == nil {
			s.Describe(&r, pvd.Resolver{Origin: pvd.FromDHCPv4}, pvd.Zone{Origin: pvd.FromDHCPv4})
		} else {
			refused++
		}
	}
	if b, ok := a.options[optNTP]; ok {
		servers, bad, ok := wire.Servers(b, 4)
		refused += bad + count(!ok)
		for _, s := range servers {
			r.NTP = append(r.NTP, pvd.TimeServer{Addr: s, Origin: pvd.FromDHCPv4})
		}
	}
	if b, ok := a.options[optMTU]; ok {
		if len(b) == 2 && binary.BigEndian.Uint16(b) >= minMTU {
			r.MTU = int(binary.BigEndian.Uint16(b))
		} else {
			refused++
		}
	}
	if b, ok := a.options[optPortal]; ok {
		uri, err := wire.PortalURI(b)
		refused += count(err != nil)
		if err == nil {
			r.Portal = pvd.PortalAPI{URI: uri, Origin: pvd.FromDHCPv4}
		}
	}
	return r, refused + a.search(&r)
}

// resolvers reads options 6 and 162.
func (a *Answer) resolvers(r *pvd.Report, own netip.Addr) (refused int) {
	if b, ok := a.options[optServers]; ok {
		servers, bad, ok := wire.Servers(b, 4)
		refused += bad + count(!ok)
		for _, s := range servers {
			if s == own {
				refused++
				continue
			}
			r.Resolvers = append(r.Resolvers, pvd.Resolver{Addr: netip.AddrPortFrom(s, 53), Origin: pvd.FromDHCPv4})
		}
	}
	if b, ok := a.options[optEncrypted]; ok {
		all, err := wire.EncryptedFromDHCPv4(b)
		refused += count(err != nil)
		for _, e := range all {
			e.Describe(r, pvd.Resolver{Origin: pvd.FromDHCPv4})
		}
	}
	return refused
}

// search reads options 119 and 15, the former first.
func (a *Answer) search(r *pvd.Report) (refused int) {
	var all []string
	if b, ok := a.options[optSearch]; ok {
		list, err := wire.CompressedNames(b)
		refused += count(err != nil)
		all = list
	}
	if b, ok := a.options[optDomain]; ok {
		name, err := wire.TextName(b)
		refused += count(err != nil)
		if err == nil && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, name := range all {
		if name == "" {
			refused++
			continue
		}
		r.Search = append(r.Search, pvd.Zone{Name: name, Origin: pvd.FromDHCPv4})
	}
	return refused
}

func count(bad bool) int {
	if bad {
		return 1
	}
	return 0
}
