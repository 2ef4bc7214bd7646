package dns

import (
	"strings"

	"mifvif/pvd"
)

// LongestZone returns the longest of the domains' zones that name lies in and
// the domains that have it, in their order; "" and nil when there is none. Name
// is in lower case with its final dot. A Chooser that trusts all zones alike
// can be built on it.
func LongestZone(domains []*pvd.Domain, name string) (zone string, owners []*pvd.Domain) {
	for _, d := range domains {
		for _, z := range d.Zones {
			z = canonical(z)
			switch {
			case z == "." || !within(name, z) || len(z) < len(zone):
			case z == zone:
				owners = append(owners, d)
			default:
				zone, owners = z, []*pvd.Domain{d}
			}
		}
	}
	return zone, owners
}

// canonical returns a zone in lower case with its final dot.
func canonical(zone string) string { return strings.ToLower(strings.TrimSuffix(zone, ".")) + "." }
