package pvd

import (
	"net/netip"
	"slices"
	"time"
)

// shortest is below what an advertisement cannot shorten the valid lifetime of an
// address: whoever forges one could end all flows of a link (RFC 4862 5.5.3 e).
const shortest = 2 * time.Hour

// autoconfigured is a prefix inside a PvD option that an address was formed of, as
// the kernel keeps those outside: it lives on when the prefix is withdrawn.
type autoconfigured struct {
	prefix           netip.Prefix
	valid, preferred time.Time // until when; zero: for good
}

// configure takes the prefixes of an advertisement for what RFC 4862 5.5.3 makes of
// them. It never changes a list that it has given away.
func (v *voice) configure(said []Advert, at time.Time) {
	for _, ad := range said {
		if !ad.Auto || ad.Prefix.Bits() != 128-identifierBits {
			continue
		}
		i := slices.IndexFunc(v.auto, func(a autoconfigured) bool { return a.prefix == ad.Prefix })
		now := autoconfigured{ad.Prefix, ad.Until, ad.Preferred}
		switch {
		case !ad.Nested: // the kernel's from now on
			v.leave(ad.Prefix)
		case i >= 0:
			now.valid = extended(v.auto[i].valid, ad.Until, at)
			v.auto = slices.Clone(v.auto)
			v.auto[i] = now
		case !ended(ad.Until, at) && len(v.auto) < maxAdverts:
			v.auto = append(slices.Clip(v.auto), now)
		}
	}
}

// extended returns until when an address is valid that was until was, when an
// advertisement says until said.
func extended(was, said, at time.Time) time.Time {
	least := at.Add(shortest)
	switch {
	case said.IsZero() || said.After(least) || !was.IsZero() && said.After(was):
		return said
	case !was.IsZero() && !was.After(least):
		return was
	}
	return least
}

// leave drops the address of a prefix: it is another's.
func (v *voice) leave(p netip.Prefix) {
	v.auto = slices.DeleteFunc(slices.Clone(v.auto), func(a autoconfigured) bool { return a.prefix == p })
}
