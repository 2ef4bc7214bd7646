package dns

import (
	"net/netip"
	"strings"

	wire "github.com/miekg/dns"
)

// localTTL is the TTL in seconds of answers we give ourselves.
const localTTL = 600

// shortTTL is that of answers about aliases, which may be given to others.
const shortTTL = 5

// reserved answers the names that no network can own, whatever it claims:
// nil for every other name. RFC 6761 6.3 and 6.4, RFC 7686 2, RFC 9476, RFC
// 9462 6.4 (a designated resolver of the network's would lead around us).
func reserved(r *request) *wire.Msg {
	switch topLabel(r.name) {
	case "localhost":
		return localhost(r)
	case "invalid", "onion", "alt":
		return r.local(wire.RcodeNameError)
	}
	switch {
	case within(r.name, "resolver.arpa."):
		return r.local(wire.RcodeSuccess)
	case r.name == "1.0.0.127.in-addr.arpa.", r.name == "1."+strings.Repeat("0.", 31)+"ip6.arpa.":
		return loopbackName(r)
	}
	return nil
}

// localhost answers addresses of the host itself and has nothing else.
func localhost(r *request) *wire.Msg {
	m := r.local(wire.RcodeSuccess)
	h := wire.RR_Header{Name: r.question[0].Name, Rrtype: r.qtype, Class: wire.ClassINET, Ttl: localTTL}
	switch r.qtype {
	case wire.TypeA:
		m.Answer = []wire.RR{&wire.A{Hdr: h, A: netip.AddrFrom4([4]byte{127, 0, 0, 1}).AsSlice()}}
	case wire.TypeAAAA:
		m.Answer = []wire.RR{&wire.AAAA{Hdr: h, AAAA: netip.IPv6Loopback().AsSlice()}}
	}
	return m
}

// loopbackName answers the reverse of localhost.
func loopbackName(r *request) *wire.Msg {
	m := r.local(wire.RcodeSuccess)
	if r.qtype == wire.TypePTR {
		h := wire.RR_Header{Name: r.question[0].Name, Rrtype: r.qtype, Class: wire.ClassINET, Ttl: localTTL}
		m.Answer = []wire.RR{&wire.PTR{Hdr: h, Ptr: "localhost."}}
	}
	return m
}

// homeless reports whether a name means something only inside a network that
// claims it: sent to any other, it would leak and get a wrong answer. RFC 6761
// 6.2, RFC 6762 3, RFC 8375 4, RFC 9665, and names without a dot.
func homeless(name string, qtype uint16) bool {
	switch topLabel(name) {
	case "local", "test", "internal":
		return true
	}
	if within(name, "home.arpa.") {
		// Validators need the insecure delegation of home.arpa itself.
		return name != "home.arpa." || qtype != wire.TypeDS
	}
	return within(name, "service.arpa.") || singleLabel(name) && !infrastructure(qtype)
}

// singleLabel reports whether a name is one label below the root.
func singleLabel(name string) bool { return name != "." && wire.CountLabel(name) == 1 }

// infrastructure reports whether a type is asked of top-level domains by
// validators and tools, never for a host's name.
func infrastructure(qtype uint16) bool {
	switch qtype {
	case wire.TypeNS, wire.TypeSOA, wire.TypeDS, wire.TypeDNSKEY:
		return true
	}
	return false
}

// topLabel returns the last label of a lower-case name, "" for the root.
func topLabel(name string) string {
	name = strings.TrimSuffix(name, ".")
	return name[strings.LastIndexByte(name, '.')+1:]
}

// within reports whether name is zone or below it; both in lower case with
// their final dots.
func within(name, zone string) bool {
	return zone == "." || name == zone || strings.HasSuffix(name, "."+zone)
}

// aliasName answers the reverse name of an alias with the name it stands for, nil
// for every other name.
func (s *Server) aliasName(r *request) *wire.Msg {
	p := reversePrefix(r.name)
	if !p.IsValid() || !inside(p, alias4()) && !inside(p, alias6()) {
		return nil
	}
	name, ok := "", false
	if s.cfg.AliasName != nil && p.IsSingleIP() {
		name, ok = s.cfg.AliasName(p.Addr())
	}
	if !ok {
		return r.local(wire.RcodeNameError)
	}
	m := r.local(wire.RcodeSuccess)
	if r.qtype == wire.TypePTR {
		h := wire.RR_Header{Name: r.question[0].Name, Rrtype: r.qtype, Class: wire.ClassINET, Ttl: shortTTL}
		m.Answer = []wire.RR{&wire.PTR{Hdr: h, Ptr: wire.Fqdn(name)}}
	}
	return m
}
