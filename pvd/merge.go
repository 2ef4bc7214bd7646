package pvd

import (
	"net/netip"
	"slices"
	"time"
)

// object is an item of a report that can be said again, taken back and expire.
type object interface {
	// names tells the item from others of its kind in one domain.
	names() any
	// end is when it stops being true; zero: never by itself.
	end() time.Time
}

type resolverName struct {
	addr      netip.AddrPort
	transport Transport
	name      string
}

type zoneName struct {
	name   string
	server netip.AddrPort
}

type serverName struct {
	addr netip.Addr
	name string
}

func (a Advert) names() any      { return a.Prefix }
func (r Route) names() any       { return r.Dst }
func (r Resolver) names() any    { return resolverName{r.Addr, r.Transport, r.Name} }
func (x Designation) names() any { return x.Name }
func (z Zone) names() any        { return zoneName{z.Name, z.Server} }
func (s TimeServer) names() any  { return serverName{s.Addr, s.Name} }
func (p PREF64) names() any      { return p.Prefix }
func (h NextHop) names() any     { return h.Addr }

func (a Advert) end() time.Time      { return a.Until }
func (r Route) end() time.Time       { return r.Until }
func (r Resolver) end() time.Time    { return r.Until }
func (x Designation) end() time.Time { return x.Until }
func (z Zone) end() time.Time        { return z.Until }
func (s TimeServer) end() time.Time  { return s.Until }
func (p PREF64) end() time.Time      { return p.Until }
func (h NextHop) end() time.Time     { return h.Until }

// ended reports whether a time that may be "never" is over.
func ended(until, now time.Time) bool { return !until.IsZero() && !until.After(now) }

// merge returns have as it is after said was heard at a moment: what is named
// again is replaced or, where its time is over, taken back; what is new is added
// while there is room. It never changes have, which readers may hold.
func merge[T object](have, said []T, at time.Time, room int) []T {
	if len(said) == 0 {
		return have
	}
	out := slices.Clone(have)
	for _, one := range said {
		i := slices.IndexFunc(out, func(o T) bool { return o.names() == one.names() })
		switch {
		case ended(one.end(), at) && i >= 0:
			out = slices.Delete(out, i, i+1)
		case ended(one.end(), at):
		case i >= 0:
			out[i] = one
		case len(out) < room:
			out = append(out, one)
		}
	}
	return out
}

// without returns the items of have that said does not name.
func without[T object](have, said []T) []T {
	if len(have) == 0 || len(said) == 0 {
		return have
	}
	var out []T
	for _, o := range have {
		if !slices.ContainsFunc(said, func(s T) bool { return s.names() == o.names() }) {
			out = append(out, o)
		}
	}
	return out
}

// living returns the items whose time is not over.
func living[T object](have []T, now time.Time) []T {
	if !slices.ContainsFunc(have, func(o T) bool { return ended(o.end(), now) }) {
		return have
	}
	var out []T
	for _, o := range have {
		if !ended(o.end(), now) {
			out = append(out, o)
		}
	}
	return out
}

// soonest returns the earlier of first and the end of any item; zero is never.
func soonest[T object](first time.Time, have []T) time.Time {
	for _, o := range have {
		first = earlier(first, o.end())
	}
	return first
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
