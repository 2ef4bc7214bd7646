package ra

import (
	"encoding/binary"
	"iter"
	"math"
	"net/netip"
	"strconv"

	"mifvif/pvd"
	"mifvif/pvd/wire"
)

// Types of options (IANA, IPv6 Neighbor Discovery Option Formats).
const (
	optPrefix    = 3
	optMTU       = 5
	optPvD       = 21
	optRoute     = 24
	optResolvers = 25
	optSearch    = 31
	optPortal    = 37
	optPREF64    = 38
	optEncrypted = 144
)

// maxObjects is how many objects of one kind a report holds; what else a message
// has of them is not looked at.
const maxObjects = 64

// wellFormed reports whether every option has a length and ends inside b.
func wellFormed(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 8 || b[1] == 0 || int(b[1])*8 > len(b) {
			return false
		}
		b = b[int(b[1])*8:]
	}
	return true
}

// each walks over well-formed options: their types and what follows the length.
func each(b []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for len(b) > 0 {
			size := int(b[1]) * 8
			if !yield(b[0], b[2:size]) {
				return
			}
			b = b[size:]
		}
	}
}

// options adds the objects of well-formed options to the report.
func (r *reading) options(b []byte) {
	for kind, body := range each(b) {
		switch kind {
		case optPrefix:
			r.prefix(body)
		case optMTU:
			r.mtu(body)
		case optRoute:
			r.route(body)
		case optResolvers:
			r.resolvers(body)
		case optSearch:
			r.search(body)
		case optPortal:
			r.portal(body)
		case optPREF64:
			r.pref64(body)
		case optEncrypted:
			r.encrypted(body)
		}
	}
}

// room reports whether a list takes another object.
func room[T any](list []T) bool { return len(list) < maxObjects }

// prefix reads prefix information (RFC 4861 4.6.2). One whose preferred lifetime
// is the longer is ignored (RFC 4862 5.5.3), as is the link-local prefix.
func (r *reading) prefix(b []byte) {
	if len(b) != 30 || b[0] > 128 {
		return
	}
	valid, preferred := binary.BigEndian.Uint32(b[2:]), binary.BigEndian.Uint32(b[6:])
	p := netip.PrefixFrom(netip.AddrFrom16([16]byte(b[14:])), int(b[0])).Masked()
	if preferred > valid || !routable(p) || !room(r.report.Adverts) {
		return
	}
	r.report.Adverts = append(r.report.Adverts, pvd.Advert{
		Prefix: p, Router: r.report.Sender, OnLink: b[1]&0x80 != 0, Auto: b[1]&0x40 != 0,
		Until: r.until(valid), Preferred: r.until(preferred),
	})
	if r.inside {
		r.report.RA.Nested.Prefixes = append(r.report.RA.Nested.Prefixes, p)
	}
}

// routable reports whether p can be a network beyond the link's own scope.
func routable(p netip.Prefix) bool {
	a := p.Addr()
	return !a.IsLinkLocalUnicast() && !a.IsMulticast() && !a.IsLoopback() && !a.Is4In6() && (!a.IsUnspecified() || p.Bits() == 0)
}

// mtu reads the link's MTU (RFC 4861 4.6.4), which cannot be more than the
// interface's.
func (r *reading) mtu(b []byte) {
	if len(b) != 6 {
		return
	}
	if mtu := binary.BigEndian.Uint32(b[2:]); mtu >= 1280 && mtu <= math.MaxInt32 && int(mtu) <= r.link.MTU {
		r.report.MTU = int(mtu)
	}
}

// route reads route information (RFC 4191 2.3).
func (r *reading) route(b []byte) {
	bits, octets := int(b[0]), len(b)-6
	prefer, ok := preference(b[1])
	if !ok || bits > octets*8 || octets > 16 || !room(r.report.Routes) {
		return
	}
	var raw [16]byte
	copy(raw[:], b[6:])
	dst := netip.PrefixFrom(netip.AddrFrom16(raw), bits).Masked()
	if !routable(dst) {
		return
	}
	r.report.Routes = append(r.report.Routes, pvd.Route{
		Dst: dst, Via: r.report.Sender, Preference: prefer, Origin: pvd.FromRA, Until: r.until(binary.BigEndian.Uint32(b[2:])),
	})
	if r.inside {
		r.report.RA.Nested.Routes = append(r.report.RA.Nested.Routes, dst)
	}
}

// resolvers reads recursive DNS servers (RFC 8106 5.1).
func (r *reading) resolvers(b []byte) {
	servers, _, ok := wire.Servers(b[6:], 16)
	if !ok {
		return
	}
	for _, a := range servers {
		r.resolver(pvd.Resolver{Addr: netip.AddrPortFrom(a, 53), Origin: pvd.FromRA, Until: r.until(binary.BigEndian.Uint32(b[2:]))})
	}
}

// encrypted reads an encrypted DNS server (RFC 9463 6.1).
func (r *reading) encrypted(b []byte) {
	e, err := wire.EncryptedFromRA(binary.BigEndian.Uint16(b), b[6:])
	if err != nil {
		return
	}
	var said pvd.Report
	e.Describe(&said, pvd.Resolver{Origin: pvd.FromRA, Until: r.until(binary.BigEndian.Uint32(b[2:]))})
	for _, one := range said.Resolvers {
		r.resolver(one)
	}
	for _, one := range said.Designated {
		if room(r.report.Designated) {
			r.report.Designated = append(r.report.Designated, one)
		}
	}
}

// resolver adds a resolver; a link-local one is asked on the link that named it.
func (r *reading) resolver(one pvd.Resolver) {
	if a := one.Addr.Addr(); a.IsLinkLocalUnicast() {
		one.Addr = netip.AddrPortFrom(a.WithZone(strconv.Itoa(r.link.Index)), one.Addr.Port())
	}
	if room(r.report.Resolvers) {
		r.report.Resolvers = append(r.report.Resolvers, one)
	}
}

// search reads a DNS search list (RFC 8106 5.2); zeros pad it.
func (r *reading) search(b []byte) {
	names, err := wire.Names(b[6:])
	if err != nil {
		return
	}
	for _, name := range names {
		if name != "" && room(r.report.Search) {
			r.report.Search = append(r.report.Search, pvd.Zone{Name: name, Origin: pvd.FromRA, Until: r.until(binary.BigEndian.Uint32(b[2:]))})
		}
	}
}

// portal reads the URI of the captive portal API (RFC 8910 2.3).
func (r *reading) portal(b []byte) {
	if uri, err := wire.PortalURI(b); err == nil {
		r.report.Portal = pvd.PortalAPI{URI: uri, Origin: pvd.FromRA}
	}
}

// pref64 reads a NAT64 prefix (RFC 8781 4), whose length is one of six.
func (r *reading) pref64(b []byte) {
	lengths := [...]int{96, 64, 56, 48, 40, 32}
	if len(b) != 14 {
		return
	}
	scaled := binary.BigEndian.Uint16(b)
	code := int(scaled & 7)
	if code >= len(lengths) || !room(r.report.PREF64) {
		return
	}
	var raw [16]byte
	copy(raw[:], b[2:])
	r.report.PREF64 = append(r.report.PREF64, pvd.PREF64{
		Prefix: netip.PrefixFrom(netip.AddrFrom16(raw), lengths[code]).Masked(),
		Origin: pvd.FromRA, Until: r.until(uint32(scaled &^ 7)),
	})
}
