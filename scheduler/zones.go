package scheduler

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"mifvif/pvd"
)

// zone is a part of the name space with the domains it belongs to.
type zone struct {
	name    string
	owners  members
	class   class
	claims  int // how many domains, believed or not
	ranking pvd.Preference
}

// class is how far a claim on a zone is believed; a higher class wins whatever
// the length of the match (RFC 6731 4.1, standards D.5).
type class uint8

const (
	hinted        class = iota // an unauthenticated network says so
	authenticated              // its id was proven
	trusted                    // the configuration trusts the domain
	declared                   // the configuration names the zone
)

// zonesOf returns every zone that is believed to belong to somebody.
func zonesOf(domains []*pvd.Domain, told map[string][]pvd.Zone) map[string]*zone {
	all := make(map[string]*zone)
	for i, d := range domains {
		for _, z := range d.Zones {
			claim(all, i, d, z)
		}
		for _, z := range told[d.Name] {
			claim(all, i, d, z)
		}
	}
	for name, z := range all {
		if z.class == hinted && z.claims > 1 {
			delete(all, name) // who is right nobody knows
		}
	}
	return all
}

// tell returns what each trusted domain says of its zones, its search list included.
// One that is away still owns what it said last: its names must not leak to others
// in the meantime (standards D.4).
func tell(domains []*pvd.Domain, last *snapshot) map[string][]pvd.Zone {
	told := make(map[string][]pvd.Zone)
	for _, d := range domains {
		if d.Trust != pvd.Trusted {
			continue
		}
		zones := slices.Concat(d.Zones, d.Search)
		if len(zones) == 0 && d.State == pvd.Offline && last != nil {
			zones = last.told[d.Name]
		}
		if len(zones) > 0 {
			told[d.Name] = zones
		}
	}
	return told
}

// claim adds the claim of one domain, unless it is not believed.
func claim(all map[string]*zone, i int, d *pvd.Domain, z pvd.Zone) {
	c := classOf(d, z)
	if !believed(d, z, c) {
		return
	}
	have := all[z.Name]
	if have == nil {
		have = &zone{name: z.Name, class: c, ranking: z.Preference}
		all[z.Name] = have
	}
	if !have.owners.has(i) {
		have.claims++
	}
	switch {
	case c < have.class || c == have.class && z.Preference < have.ranking:
		return
	case c > have.class || z.Preference > have.ranking:
		have.owners, have.class, have.ranking = members{}, c, z.Preference
	}
	have.owners.add(i)
}

func classOf(d *pvd.Domain, z pvd.Zone) class {
	switch {
	case z.Origin == pvd.FromConfig:
		return declared
	case d.Trust == pvd.Trusted:
		return trusted
	case d.Trust == pvd.Authenticated:
		return authenticated
	}
	return hinted
}

// believed reports whether a claim is accepted at all. Nobody but the
// configuration gives away the root or a public suffix, an authenticated domain
// speaks for its own registrable domain, and lists of resolvers (RFC 6731) are
// for trusted networks only (RFC 6731 4.4).
func believed(d *pvd.Domain, z pvd.Zone, c class) bool {
	switch {
	case c == declared:
		return true
	case z.Name == "" || public(z.Name):
		return false
	case c == trusted:
		return true
	case z.Server != netip.AddrPort{}:
		return false
	case c == authenticated:
		own, err := publicsuffix.EffectiveTLDPlusOne(d.ID)
		return err == nil && (z.Name == own || strings.HasSuffix(z.Name, "."+own))
	}
	return true
}

// public reports whether name is a suffix that registries hand names out below.
func public(name string) bool {
	suffix, icann := publicsuffix.PublicSuffix(name)
	return suffix == name && (icann || strings.Contains(name, "."))
}

// zoneOwners returns the zone that decides about the name of f, nil if none does
// or the destination is known: of all that hold the name those of the highest
// class, of these the longest.
func (s *snapshot) zoneOwners(f *subject) *zone {
	if len(s.zones) == 0 || f.Name == "" || !f.dst.IsUnspecified() {
		return nil
	}
	var best *zone
	for name := f.Name; ; {
		if z := s.zones[name]; z != nil && (best == nil || z.class > best.class) {
			best = z
		}
		dot := strings.IndexByte(name, '.')
		if dot < 0 {
			return best
		}
		name = name[dot+1:]
	}
}
