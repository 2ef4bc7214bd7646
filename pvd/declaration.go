package pvd

import (
	"net/netip"
	"path"
	"slices"
	"strings"
)

// DHCP is how mifvif uses DHCPv4 on an interface.
type DHCP uint8

// The uses there are. The zero DHCP is DHCPInform.
const (
	DHCPInform DHCP = iota // asks for what the lease of another client does not say
	DHCPOff                // says nothing
	DHCPClient             // leases the address itself
)

// Declaration is what an entry of `pvds:` says about a domain: it names one
// that is discovered, adds to it, overrides it, or makes it known at all. A
// nil Declaration says nothing.
type Declaration struct {
	Name      string
	Interface string       // empty: the one called Name
	Addresses []netip.Addr // empty: the interface's
	NextHops  []netip.Addr // empty: discovered
	Servers   []netip.AddrPort
	Zones     []string
	Search    []string
	Prefixes  []netip.Prefix // what is behind it
	Internet  *bool          // nil: what discovery says
	Trusted   *bool
	Metered   bool
	Weight    int // 0: 1
	// PreferPublic: flows leave from public rather than from temporary addresses
	// (RFC 8981, RFC 6724 5 rule 7).
	PreferPublic bool
	DHCP         DHCP
	Check        Check
	Bandwidth    Bandwidth
	Cap          Cap
}

// ifname returns the interface the declaration is about.
func (d *Declaration) ifname() string {
	if d.Interface == "" {
		return d.Name
	}
	return d.Interface
}

// lay lays what the configuration says over what was discovered.
func (d *Declaration) lay(on *Domain) {
	on.Internet = len(on.NextHops) > 0
	if d == nil {
		return
	}
	if len(d.Addresses) > 0 {
		on.Addresses = only(on.Addresses, d.Addresses)
	}
	if len(d.NextHops) > 0 {
		d.steer(on)
	}
	if d.Internet != nil {
		on.Internet = *d.Internet
		d.reach(on)
	}
	on.Prefixes = d.Prefixes
	on.Zones = append(zones(d.Zones, FromConfig), on.Zones...)
	on.Search = append(zones(d.Search, FromConfig), on.Search...)
	if len(d.Servers) > 0 {
		on.Resolvers = nil
	}
	for _, s := range d.Servers {
		on.Resolvers = append(on.Resolvers, Resolver{Addr: s, Origin: FromConfig})
	}
	on.Check, on.PreferPublic = d.Check, d.PreferPublic
	on.Metered, on.Weight = d.Metered, max(d.Weight, 1)
	on.Bandwidth, on.Cap = d.Bandwidth, d.Cap
	if d.Trusted != nil && *d.Trusted {
		on.Trust = Trusted
	}
}

// steer makes the declared next hops those of the domain, in their order. What
// is known of one that was discovered stays.
func (d *Declaration) steer(on *Domain) {
	found := on.NextHops
	on.NextHops = nil
	for i, addr := range d.NextHops {
		hop := NextHop{Addr: addr, Is6: addr.Is6(), Origin: FromConfig}
		if at := slices.IndexFunc(found, func(h NextHop) bool { return h.Addr == addr }); at >= 0 && found[at].Origin == FromRA {
			hop = found[at]
		}
		hop.Metric = i
		on.NextHops = append(on.NextHops, hop)
	}
	on.Internet = true
}

// zones restates names that all came from one place.
func zones(names []string, from Origin) []Zone {
	var out []Zone
	for _, n := range names {
		out = append(out, Zone{Name: CanonicalName(n), Origin: from})
	}
	return out
}

// reach follows an explicit word about the Internet: a point-to-point link that
// leads there needs no next hop to be told, and one that a VPN client routes
// everything into is an uplink like the others.
func (d *Declaration) reach(on *Domain) {
	if !on.Internet {
		return
	}
	for i := range on.NextHops {
		on.NextHops[i].Overrides = false
	}
	for _, is6 := range []bool{false, true} {
		if on.P2P && on.HasAddress(is6) && !on.HasHop(is6) {
			on.NextHops = append(on.NextHops, NextHop{Is6: is6, Origin: FromConfig})
		}
	}
}

// only keeps the addresses that are wanted.
func only(have []Address, want []netip.Addr) []Address {
	var out []Address
	for _, a := range have {
		for _, w := range want {
			if a.Prefix.Addr() == w {
				out = append(out, a)
			}
		}
	}
	return out
}

// Discovery says what the builder leaves alone.
type Discovery struct {
	Ignore []string // patterns of interface names, as of path.Match
	Own    string   // mif0 itself
	// Declarations in the order of the configuration, names unique.
	Declarations []Declaration
}

// Ignores reports whether the interface is none of ours. A declared one is ours
// whatever the patterns say.
func (d *Discovery) Ignores(ifname string) bool {
	if ifname == d.Own {
		return true
	}
	if d.declared(ifname) != nil {
		return false
	}
	for _, pattern := range d.Ignore {
		if ok, err := path.Match(pattern, ifname); err == nil && ok {
			return true
		}
	}
	return false
}

// DHCP returns how DHCPv4 is used on an interface, the most that a declaration of
// it says, and whether what its network says is trusted.
func (d *Discovery) DHCP(ifname string) (use DHCP, trusted bool) {
	for i := range d.Declarations {
		if decl := &d.Declarations[i]; decl.ifname() == ifname {
			use = max(use, decl.DHCP)
			trusted = trusted || decl.Trusted != nil && *decl.Trusted
		}
	}
	return use, trusted
}

// declared returns the first declaration for an interface, or nil.
func (d *Discovery) declared(ifname string) *Declaration {
	for i := range d.Declarations {
		if d.Declarations[i].ifname() == ifname {
			return &d.Declarations[i]
		}
	}
	return nil
}

// names reports whether a domain of that identity is declared.
func (d *Discovery) names(id identity) bool {
	for i := range d.Declarations {
		decl := &d.Declarations[i]
		if own := decl.ifname(); id == (identity{ifname: own}) || id == (identity{own, declared, decl.Name}) {
			return true
		}
	}
	return false
}

// CanonicalName returns a domain name in the form names are compared in: lower
// case, without final dot.
func CanonicalName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Hints is what the host's own configuration said about DNS before mifvif took
// over: the servers of its resolv.conf and those a resolver knows per link.
type Hints struct {
	Servers []netip.Addr
	PerLink map[int][]netip.Addr // by interface index
	Search  []string
}
