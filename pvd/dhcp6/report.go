package dhcp6

import (
	"encoding/binary"
	"net/netip"
	"time"

	"mifvif/pvd"
	"mifvif/pvd/wire"
)

// Suboptions of the time servers' option (RFC 5908 4).
const (
	ntpAddress = 1
	ntpName    = 3
)

// Report restates what a reply says about a link; refused counts the objects that
// were left out because they cannot be true.
func (r *Reply) Report(link Link, server netip.Addr, received time.Time) (out pvd.Report, refused int) {
	out = pvd.Report{Origin: pvd.FromDHCPv6, Ifindex: link.Index, Sender: server, Received: received}
	encrypted := 0
	for _, o := range r.options {
		ok := true
		switch o.code {
		case optServers:
			servers, bad, sized := wire.Servers(o.value, 16)
			ok, refused = sized, refused+bad
			for _, s := range servers {
				out.Resolvers = append(out.Resolvers, pvd.Resolver{Addr: netip.AddrPortFrom(s, 53), Origin: pvd.FromDHCPv6})
			}
		case optSearch:
			ok = search(&out, o.value)
		case optNTP:
			ok = timeServers(&out, o.value)
		case optSelection:
			if link.Trusted {
				s, err := wire.SelectedFromDHCPv6(o.value)
				if ok = err == nil; ok {
					s.Describe(&out, pvd.Resolver{Origin: pvd.FromDHCPv6}, pvd.Zone{Origin: pvd.FromDHCPv6})
				}
			}
		case optTable:
			t, err := wire.TableFromDHCPv6(o.value)
			if ok = err == nil; ok {
				out.Selection, out.PreferPublic = t.Rows, t.PreferPublic
			}
		case optPortal:
			uri, err := wire.PortalURI(o.value)
			if ok = err == nil; ok {
				out.Portal = pvd.PortalAPI{URI: uri, Origin: pvd.FromDHCPv6}
			}
		case optEncrypted:
			e, err := wire.EncryptedFromDHCPv6(o.value)
			if encrypted++; err == nil && encrypted <= wire.MaxRecords {
				e.Describe(&out, pvd.Resolver{Origin: pvd.FromDHCPv6})
			} else {
				ok = false
			}
		}
		if !ok {
			refused++
		}
	}
	return out, refused
}

// search adds the names of option 24.
func search(out *pvd.Report, value []byte) bool {
	names, err := wire.Names(value)
	for _, name := range names {
		if name != "" && len(out.Search) < wire.MaxNames {
			out.Search = append(out.Search, pvd.Zone{Name: name, Origin: pvd.FromDHCPv6})
		}
	}
	return err == nil && len(names) > 0
}

// timeServers adds what one option 56 names; groups are left out.
func timeServers(out *pvd.Report, b []byte) bool {
	for len(b) > 0 {
		if len(b) < 4 || len(out.NTP) == wire.MaxServers {
			return false
		}
		code, n := binary.BigEndian.Uint16(b), 4+int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			return false
		}
		value := b[4:n]
		b = b[n:]
		switch code {
		case ntpAddress:
			servers, bad, ok := wire.Servers(value, 16)
			if !ok || bad > 0 || len(value) != 16 {
				return false
			}
			out.NTP = append(out.NTP, pvd.TimeServer{Addr: servers[0], Origin: pvd.FromDHCPv6})
		case ntpName:
			name, rest, err := wire.Name(value)
			if err != nil || name == "" || len(rest) > 0 {
				return false
			}
			out.NTP = append(out.NTP, pvd.TimeServer{Name: name, Origin: pvd.FromDHCPv6})
		}
	}
	return true
}
