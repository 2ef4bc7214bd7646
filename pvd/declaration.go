package pvd

import (
	"net/netip"
	"path"
)

// Declaration is what an entry of `pvds:` says about a domain: it names one
// that is discovered, adds to it, overrides it, or makes it known at all.
type Declaration struct {
	Name      string
	Interface string
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
}

// Discovery says what the builder leaves alone.
type Discovery struct {
	Ignore []string // patterns of interface names, as of path.Match
	Own    string   // mif0 itself
	// Declarations in the order of the configuration.
	Declarations []Declaration
}

// ignored reports whether the interface is none of ours, unless it is declared.
func (d *Discovery) ignored(name string) bool {
	if name == d.Own {
		return true
	}
	if d.declared(name) != nil {
		return false
	}
	for _, pattern := range d.Ignore {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			return true
		}
	}
	return false
}

// declared returns the declaration for an interface, or nil.
func (d *Discovery) declared(ifname string) *Declaration {
	for i := range d.Declarations {
		if d.Declarations[i].Interface == ifname {
			return &d.Declarations[i]
		}
	}
	return nil
}

// Hints is what the host's own configuration said about DNS before mifvif took
// over: the servers of its resolv.conf and those a resolver knows per link.
type Hints struct {
	Servers []netip.Addr
	PerLink map[int][]netip.Addr
	Search  []string
}
