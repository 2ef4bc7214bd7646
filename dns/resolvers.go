package dns

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"mifvif/pvd"
)

// reachable are the resolvers of d that one of its source addresses can reach and
// that may be asked about names nobody has a list for.
func reachable(d *pvd.Domain) []netip.AddrPort { return resolversFor(d, "") }

// resolversFor are the resolvers of d to ask about a name: those whose list names
// the longest zone around it, else all that are for any name (RFC 6731 4.1).
// Where a domain names encrypted resolvers no other is asked: who can make them fail
// could read the questions otherwise (RFC 9463 7.1).
func resolversFor(d *pvd.Domain, name string) []netip.AddrPort {
	listed := listedFor(d, name)
	var fit []pvd.Resolver
	encrypted := false
	for _, r := range d.Resolvers {
		if !r.Addr.IsValid() || !d.HasSource(r.Addr.Addr().Unmap().Is6()) {
			continue
		}
		if len(listed) > 0 && !slices.Contains(listed, r.Addr) || len(listed) == 0 && r.Only {
			continue
		}
		encrypted = encrypted || r.Transport != pvd.Plain
		fit = append(fit, r)
	}
	if encrypted {
		fit = slices.DeleteFunc(fit, func(r pvd.Resolver) bool { return r.Transport == pvd.Plain })
	}
	slices.SortStableFunc(fit, func(a, b pvd.Resolver) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Preference, a.Preference))
	})
	var out []netip.AddrPort
	for _, r := range fit {
		if !slices.Contains(out, r.Addr) && len(out) < maxServers {
			out = append(out, r.Addr)
		}
	}
	return out
}

// listedFor are the servers that d's lists name for the longest zone around a name.
func listedFor(d *pvd.Domain, name string) []netip.AddrPort {
	name = strings.TrimSuffix(name, ".")
	longest := -1
	var out []netip.AddrPort
	for _, z := range d.Zones {
		if !z.Server.IsValid() || name == "" || name != z.Name && !strings.HasSuffix(name, "."+z.Name) || len(z.Name) < longest {
			continue
		}
		if len(z.Name) > longest {
			longest, out = len(z.Name), nil
		}
		out = append(out, z.Server)
	}
	return out
}

// at returns what d says of the resolver at an address.
func at(d *pvd.Domain, server netip.AddrPort) pvd.Resolver {
	for _, r := range d.Resolvers {
		if r.Addr == server {
			return r
		}
	}
	return pvd.Resolver{Addr: server}
}
