package wire

import (
	"errors"
	"net/netip"

	"mifvif/pvd"
)

// Preferred decodes a two-bit preference (RFC 4191 2.1, RFC 6731 4.2): the
// reserved value is the medium one.
func Preferred(bits byte) pvd.Preference {
	switch bits & 3 {
	case 1:
		return pvd.High
	case 3:
		return pvd.Low
	}
	return pvd.Medium
}

// ErrSelection says that a list of RFC 6731 is malformed.
var ErrSelection = errors.New("a resolver's list of names is malformed")

// Selected is a resolver with the names it knows (RFC 6731 4).
type Selected struct {
	Servers    []netip.Addr
	Preference pvd.Preference
	Zones      []string // reverse networks included; without the root
	General    bool     // the root was listed: it resolves everything else too
}

// SelectedFromDHCPv4 reads the joined content of option 146 (RFC 6731 4.3).
func SelectedFromDHCPv4(b []byte) (Selected, error) {
	if len(b) < 9 {
		return Selected{}, ErrSelection
	}
	s := Selected{Preference: Preferred(b[0])}
	for _, raw := range [][]byte{b[1:5], b[5:9]} {
		addr, _ := netip.AddrFromSlice(raw)
		if !addr.IsUnspecified() {
			s.Servers = append(s.Servers, addr)
		}
	}
	return s, s.list(b[9:])
}

// SelectedFromDHCPv6 reads the content of one option 74 (RFC 6731 4.2).
func SelectedFromDHCPv6(b []byte) (Selected, error) {
	if len(b) < 17 {
		return Selected{}, ErrSelection
	}
	addr, _ := netip.AddrFromSlice(b[:16])
	s := Selected{Servers: []netip.Addr{addr}, Preference: Preferred(b[16])}
	return s, s.list(b[17:])
}

func (s *Selected) list(b []byte) error {
	for _, server := range s.Servers {
		if !Server(server) {
			return ErrSelection
		}
	}
	all, err := Names(b)
	if err != nil {
		return err
	}
	if len(s.Servers) == 0 || len(all) == 0 {
		return ErrSelection
	}
	for _, name := range all {
		if name == "" {
			s.General = true
		} else {
			s.Zones = append(s.Zones, name)
		}
	}
	return nil
}

// Describe adds the resolvers and their zones to a report. Every field of the
// templates but the address, zone and preference is kept.
func (s *Selected) Describe(r *pvd.Report, resolver pvd.Resolver, zone pvd.Zone) {
	for _, addr := range s.Servers {
		at := netip.AddrPortFrom(addr, 53)
		resolver.Addr, resolver.Preference, resolver.Only = at, s.Preference, !s.General
		r.Resolvers = append(r.Resolvers, resolver)
		for _, name := range s.Zones {
			zone.Name, zone.Server, zone.Preference = name, at, s.Preference
			r.Zones = append(r.Zones, zone)
		}
	}
}
