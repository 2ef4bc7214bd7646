package pvd

import (
	"slices"
	"time"
)

// Equal reports whether two instances say the same in every field. An empty list
// is like none.
func Equal(a, b *Domain) bool {
	return a == b || a != nil && b != nil && scalars(a) == scalars(b) &&
		slices.Equal(a.Addresses, b.Addresses) && listsEqual(a, b)
}

// unchanged is Equal but for lifetimes, which every router advertisement sets
// anew.
func unchanged(a, b *Domain) bool { return a == b || Equal(timeless(a), timeless(b)) }

// timeless returns d without any lifetime.
func timeless(d *Domain) *Domain {
	out := *d
	out.Portal.Until = time.Time{}
	out.Addresses = each(d.Addresses, func(a *Address) { a.Valid, a.Preferred = 0, 0 })
	out.Wanted = each(d.Wanted, func(w *Wanted) { w.Valid, w.Preferred = time.Time{}, time.Time{} })
	out.NextHops = each(d.NextHops, func(h *NextHop) { h.Until = time.Time{} })
	out.Adverts = each(d.Adverts, func(a *Advert) { a.Until, a.Preferred = time.Time{}, time.Time{} })
	out.Routes = each(d.Routes, func(r *Route) { r.Until = time.Time{} })
	out.Resolvers = each(d.Resolvers, func(r *Resolver) { r.Until = time.Time{} })
	out.Designated = each(d.Designated, func(x *Designation) { x.Until = time.Time{} })
	out.Zones = each(d.Zones, func(z *Zone) { z.Until = time.Time{} })
	out.Search = each(d.Search, func(z *Zone) { z.Until = time.Time{} })
	out.NTP = each(d.NTP, func(s *TimeServer) { s.Until = time.Time{} })
	out.PREF64 = each(d.PREF64, func(p *PREF64) { p.Until = time.Time{} })
	return &out
}

// each returns a copy of list with f done to each item.
func each[T any](list []T, f func(*T)) []T {
	out := slices.Clone(list)
	for i := range out {
		f(&out[i])
	}
	return out
}

// values are the fields of a Domain that are no lists.
type values struct {
	Name, ID, Interface, Reason string
	Explicit, P2P, Shared       bool
	Internet, Metered           bool
	PreferPublic                bool
	NoInternet, Isolated        bool
	PortalURL                   string
	Check                       Check
	Trust                       Trust
	Portal                      PortalAPI
	Additional                  Additional
	Slot                        uint16
	Attached                    uint64
	Ifindex, MTU, Weight        int
	State                       State
	Connectivity                Connectivity
	Bandwidth                   Bandwidth
	Cap                         Cap
}

func scalars(d *Domain) values {
	return values{
		Name: d.Name, ID: d.ID, Interface: d.Interface, Reason: d.Reason, Explicit: d.Explicit, P2P: d.P2P, Shared: d.Shared,
		Internet: d.Internet, Trust: d.Trust, Metered: d.Metered, PreferPublic: d.PreferPublic, Portal: d.Portal, Additional: d.Additional,
		NoInternet: d.NoInternet, Isolated: d.Isolated, PortalURL: d.PortalURL, Check: d.Check, Slot: d.Slot, Attached: d.Attached,
		Ifindex: d.Ifindex, MTU: d.MTU, Weight: d.Weight, State: d.State, Connectivity: d.Connectivity,
		Bandwidth: d.Bandwidth, Cap: d.Cap,
	}
}

// listsEqual compares the lists other than Addresses.
func listsEqual(a, b *Domain) bool {
	return slices.Equal(a.NextHops, b.NextHops) && slices.Equal(a.Routes, b.Routes) && slices.Equal(a.Prefixes, b.Prefixes) &&
		slices.Equal(a.Resolvers, b.Resolvers) && slices.Equal(a.Designated, b.Designated) && slices.Equal(a.Zones, b.Zones) && slices.Equal(a.Search, b.Search) &&
		slices.Equal(a.Adverts, b.Adverts) && slices.Equal(a.Wanted, b.Wanted) && slices.Equal(a.NTP, b.NTP) && slices.Equal(a.PREF64, b.PREF64) && slices.Equal(a.Selection, b.Selection)
}

// Event is one change between two Sets, in the contract's words.
type Event struct {
	Type   string // pvd.added, pvd.removed, pvd.state or pvd.changed
	PvD    string
	Detail string
}

// Diff returns what changed from old to now, each change once: first what is no
// more, then what is, each in order of name.
func Diff(old, now *Set) []Event {
	var events []Event
	for _, d := range old.All() {
		if now.ByName(d.Name) == nil {
			events = append(events, Event{"pvd.removed", d.Name, "it is there no more, and was " + string(d.State)})
		}
	}
	for _, d := range now.All() {
		switch was := old.ByName(d.Name); {
		case was == nil:
			events = append(events, Event{"pvd.added", d.Name, string(d.State) + ": " + d.Reason})
		case was.State != d.State:
			events = append(events, Event{"pvd.state", d.Name, string(was.State) + " -> " + string(d.State) + ": " + d.Reason})
		case !unchanged(was, d):
			events = append(events, Event{"pvd.changed", d.Name, changed(was, d)})
		}
	}
	return events
}

// changed says what differs most between two instances of equal state.
func changed(was, now *Domain) string {
	was, now = timeless(was), timeless(now)
	switch {
	case was.Key() != now.Key():
		return "attached anew"
	case was.Reason != now.Reason:
		return now.Reason
	case !slices.EqualFunc(was.Addresses, now.Addresses, func(a, b Address) bool { return a.Prefix == b.Prefix }):
		return "other addresses"
	case !slices.Equal(was.NextHops, now.NextHops):
		return "other next hops"
	case !slices.Equal(was.Routes, now.Routes):
		return "other routes"
	case !slices.Equal(was.Resolvers, now.Resolvers) || !slices.Equal(was.Designated, now.Designated):
		return "other resolvers"
	case !slices.Equal(was.Zones, now.Zones) || !slices.Equal(was.Search, now.Search):
		return "other zones"
	case was.Connectivity != now.Connectivity:
		return "connectivity " + string(was.Connectivity) + " -> " + string(now.Connectivity)
	case was.Portal != now.Portal:
		return "another captive portal API"
	case was.Trust != now.Trust:
		return "other trust"
	case !slices.Equal(was.NTP, now.NTP):
		return "other time servers"
	case !slices.Equal(was.PREF64, now.PREF64):
		return "other NAT64 prefixes"
	case !slices.Equal(was.Adverts, now.Adverts):
		return "other prefixes"
	case was.MTU != now.MTU:
		return "another MTU"
	}
	return "other properties"
}
