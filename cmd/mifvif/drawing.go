package main

import (
	"maps"
	"net/netip"
	"slices"

	"mifvif/config"
	"mifvif/netwatch"
	"mifvif/pvd"
	"mifvif/tun"
)

// draw makes mif0 attract what it should, which is nothing where the configuration
// says so.
func (p *publisher) draw(set *pvd.Set, cfg *config.Config) error {
	if !cfg.Interface.DefaultRoute {
		p.damage.inForce(nil)
		return tun.DrawNothing(p.last)
	}
	d := p.drawing(set, cfg)
	p.damage.inForce(d.Rules())
	return d.Apply(p.last)
}

// drawing says what mif0 attracts now.
func (p *publisher) drawing(set *pvd.Set, cfg *config.Config) tun.Drawing {
	var sources []netip.Addr
	for _, a := range cfg.Interface.Addresses {
		sources = append(sources, a.Addr())
	}
	return tun.Drawing{
		Ifindex: p.d.device.Ifindex(), Sources: sources, Throw: throws(set, cfg, p.last.Routes), LANs: cfg.LANs, Block: cfg.Interface.Block,
	}
}

// throws returns the on-link prefixes that are left to the kernel: those of
// exactly one domain that no rule names, and that the kernel's routes lead to it.
func throws(set *pvd.Set, cfg *config.Config, routes []netwatch.Route) []netip.Prefix {
	owners := make(map[netip.Prefix]map[string]bool)
	links := make(map[netip.Prefix]int) // where main must lead
	for _, d := range set.All() {
		if d.State == pvd.Offline || d.State == pvd.Disabled {
			continue
		}
		for _, a := range d.Addresses {
			if a.Prefix.IsSingleIP() || a.Ours { // no route of main's leads to the neighbours of the latter
				continue
			}
			m := a.Prefix.Masked()
			if owners[m] == nil {
				owners[m] = make(map[string]bool)
			}
			owners[m][d.Name], links[m] = true, d.Ifindex
		}
	}
	var out []netip.Prefix
	for m, names := range owners {
		if len(names) == 1 && !contested(m, names, owners, set) && !named(m, cfg) && !astray(m, links[m], routes) {
			out = append(out, m)
		}
	}
	return out
}

// astray reports whether main leads part of m, or m as well, out of another
// interface than its owner's: any router of another link can have the kernel
// believe that the prefix is on its link (RFC 4861 6.3.4).
func astray(m netip.Prefix, ifindex int, routes []netwatch.Route) bool {
	const main = 254
	return slices.ContainsFunc(routes, func(r netwatch.Route) bool {
		return r.Table == main && r.Type == netwatch.Unicast && r.Ifindex != ifindex && r.Dst.Bits() >= m.Bits() && m.Contains(r.Dst.Addr())
	})
}

// contested reports whether another domain claims part of m.
func contested(m netip.Prefix, names map[string]bool, owners map[netip.Prefix]map[string]bool, set *pvd.Set) bool {
	for other, others := range owners {
		if other != m && other.Overlaps(m) && !maps.Equal(names, others) {
			return true
		}
	}
	for _, d := range set.All() {
		for _, p := range d.Prefixes {
			if !names[d.Name] && p.Bits() > 0 && p.Overlaps(m) {
				return true
			}
		}
	}
	return false
}

// named reports whether a rule of the configuration speaks of part of m.
func named(m netip.Prefix, cfg *config.Config) bool {
	for i := range cfg.Policy.Rules {
		for _, p := range cfg.Policy.Rules[i].Match.Dst {
			if p.Bits() > 0 && p.Overlaps(m) {
				return true
			}
		}
	}
	return false
}
