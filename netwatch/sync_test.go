package netwatch_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mifvif/lab"
	"mifvif/netwatch"
)

const table = 64200

func own(n int) bool { return n == table }

// ours returns the routes of ours that n has, as they were asked for.
func ours(t *testing.T, n *lab.Node) []netwatch.Route {
	t.Helper()
	var out []netwatch.Route
	for _, r := range read(t, n).Routes {
		if r.Table != table || r.Protocol != netwatch.Protocol {
			continue
		}
		if r.Protocol = 0; r.Type != netwatch.Unicast {
			r.Ifindex = 0 // IPv6 shows the loopback
		}
		out = append(out, r)
	}
	slices.SortFunc(out, byText)
	return out
}

func byText(a, b netwatch.Route) int {
	return cmpString(a.String()+a.Source.String(), b.String()+b.Source.String())
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// TestSyncRoutesArrivesAndRests goes from any set of routes to any other.
func TestSyncRoutesArrivesAndRests(t *testing.T) {
	n := newNode(t)
	must(t, n.AddAddress("e1", prefix("192.0.2.2/24"), prefix("192.0.2.3/24"), prefix("2001:db8:1::2/64"), prefix("2001:db8:1::3/64")))
	must(t, n.AddAddress("e2", prefix("198.51.100.2/24"), prefix("2001:db8:2::2/64")))
	settle(t, n)
	foreign := lab.Route{To: prefix("10.99.0.0/16"), Dev: "e1", Metric: 3, Table: table}
	must(t, n.AddRoute(foreign))
	e1, e2 := index(t, n, "e1"), index(t, n, "e2")
	choices := [][]netwatch.Route{
		alternatives("0.0.0.0/0", "192.0.2.1", "192.0.2.9", "192.0.2.2", "192.0.2.3", "198.51.100.1", e1, e2),
		alternatives("10.0.0.0/8", "192.0.2.1", "192.0.2.9", "192.0.2.2", "192.0.2.3", "198.51.100.1", e1, e2),
		alternatives("::/0", "fe80::1", "2001:db8:1::9", "2001:db8:1::2", "2001:db8:1::3", "fe80::1", e1, e2),
		alternatives("2001:db8:f::/48", "fe80::1", "2001:db8:1::9", "2001:db8:1::2", "2001:db8:1::3", "fe80::1", e1, e2),
		bySource("2001:db8:1::/64", alternatives("::/0", "fe80::1", "2001:db8:1::9", "2001:db8:1::2", "2001:db8:1::3", "fe80::1", e1, e2)),
		bySource("2001:db8:2::/64", alternatives("::/0", "fe80::1", "2001:db8:1::9", "2001:db8:1::2", "2001:db8:1::3", "fe80::1", e1, e2)),
	}
	rnd := rand.New(rand.NewPCG(6418, 1))
	for round := range 150 {
		var want []netwatch.Route
		for _, c := range choices {
			for _, metric := range []int{1, 2} {
				if rnd.IntN(4) > 0 {
					r := c[rnd.IntN(len(c))]
					r.Metric = metric
					if r.Type == netwatch.Unicast && rnd.IntN(2) > 0 {
						r.Path = netwatch.PathMetrics{MTU: 1400, MTULock: true, AdvMSS: 1300, InitCwnd: 20, Congestion: "reno"}
					}
					want = append(want, r)
				}
			}
		}
		sync := func() {
			must(t, n.Do(func() error {
				st, err := netwatch.Read()
				if err != nil {
					return err
				}
				return netwatch.SyncRoutes(st.Routes, want, own)
			}))
		}
		slices.SortFunc(want, byText)
		before := ours(t, n)
		for range 2 { // mifvif is woken by its own changes, which must not make it change more
			sync()
			if diff := cmp.Diff(want, ours(t, n), byValue); diff != "" {
				t.Fatalf("round %d: from\n%v\n(-want +got):\n%s", round, before, diff)
			}
		}
	}
	must(t, n.Do(func() error {
		st, err := netwatch.Read()
		if err != nil {
			return err
		}
		return netwatch.SyncRoutes(st.Routes, nil, own)
	}))
	if left := ours(t, n); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if !slices.ContainsFunc(read(t, n).Routes, func(r netwatch.Route) bool { return r.Table == table && r.Dst == foreign.To }) {
		t.Error("a route of somebody else is gone")
	}
}

// alternatives are routes that want the same place in a table.
func alternatives(dst, gw, other, src, otherSrc, far string, e1, e2 int) []netwatch.Route {
	base := netwatch.Route{Table: table, Dst: prefix(dst)}
	with := func(f func(r *netwatch.Route)) netwatch.Route {
		r := base
		f(&r)
		return r
	}
	return []netwatch.Route{
		with(func(r *netwatch.Route) { r.Type = netwatch.Unreachable }),
		with(func(r *netwatch.Route) { r.Type = netwatch.Throw }),
		with(func(r *netwatch.Route) { r.Ifindex = e1 }),
		with(func(r *netwatch.Route) { r.Ifindex = e2 }),
		with(func(r *netwatch.Route) { r.Ifindex, r.Source = e1, addr(src) }),
		with(func(r *netwatch.Route) { r.Ifindex, r.Gateway = e1, addr(gw) }),
		with(func(r *netwatch.Route) { r.Ifindex, r.Gateway, r.Source = e1, addr(gw), addr(src) }),
		with(func(r *netwatch.Route) { r.Ifindex, r.Gateway, r.Source = e1, addr(gw), addr(otherSrc) }),
		with(func(r *netwatch.Route) { r.Ifindex, r.Gateway = e1, addr(other) }),
		with(func(r *netwatch.Route) { r.Ifindex, r.Gateway, r.OnLink = e1, addr("203.0.113.1"), true; v6only(r) }),
		with(func(r *netwatch.Route) { r.Ifindex, r.Gateway = e2, addr(far) }),
	}
}

// bySource are the same routes for packets from a prefix only.
func bySource(from string, routes []netwatch.Route) []netwatch.Route {
	for i := range routes {
		routes[i].From = prefix(from)
	}
	return routes
}

// v6only gives the route an off-link gateway of its own family.
func v6only(r *netwatch.Route) {
	if r.Dst.Addr().Is6() {
		r.Gateway = addr("2001:db8:77::1")
	}
}

func TestOfTwoRoutesForOnePlaceTheFirstStays(t *testing.T) {
	n := newNode(t)
	must(t, n.AddAddress("e1", prefix("192.0.2.2/24"), prefix("2001:db8:1::2/64")))
	must(t, n.AddAddress("e2", prefix("198.51.100.2/24"), prefix("2001:db8:2::2/64")))
	settle(t, n)
	e1, e2 := index(t, n, "e1"), index(t, n, "e2")
	want := []netwatch.Route{
		{Table: table, Dst: prefix("fe80::/64"), Ifindex: e1, Metric: 1},
		{Table: table, Dst: prefix("fe80::/64"), Ifindex: e2, Metric: 1},
		{Table: table, Dst: prefix("10.0.0.0/8"), Ifindex: e1, Gateway: addr("192.0.2.1"), Metric: 1},
		{Table: table, Dst: prefix("10.0.0.0/8"), Ifindex: e2, Gateway: addr("198.51.100.1"), Metric: 1},
	}
	for range 3 {
		must(t, n.Do(func() error {
			st, err := netwatch.Read()
			if err != nil {
				return err
			}
			return netwatch.SyncRoutes(st.Routes, want, own)
		}))
		if diff := cmp.Diff([]netwatch.Route{want[2], want[0]}, ours(t, n), byValue); diff != "" {
			t.Fatalf("routes that fight for one place (-want +got):\n%s", diff)
		}
	}
}

func TestARouteTheKernelRefusesDoesNotStopTheOthers(t *testing.T) {
	n := newNode(t)
	must(t, n.AddAddress("e1", prefix("192.0.2.2/24")))
	e1 := index(t, n, "e1")
	good := netwatch.Route{Table: table, Dst: prefix("10.0.0.0/8"), Ifindex: e1, Metric: 1}
	want := []netwatch.Route{
		{Table: table, Dst: prefix("0.0.0.0/0"), Ifindex: e1, Gateway: addr("203.0.113.1"), Metric: 1}, // not on the link
		{Table: table, Dst: prefix("10.1.0.0/16"), Ifindex: 4711, Metric: 1},                           // no such link
		good,
	}
	var err error
	must(t, n.Do(func() error { err = netwatch.SyncRoutes(nil, want, own); return nil }))
	if err == nil {
		t.Error("a refused route was not reported")
	}
	if diff := cmp.Diff([]netwatch.Route{good}, ours(t, n), byValue); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSyncRulesArrivesAndLeavesOthersAlone(t *testing.T) {
	n := newNode(t)
	ownRule := func(p int) bool { return p >= 6410 && p <= 6414 }
	all := []netwatch.Rule{
		{Priority: 6410, Mark: 1 << 20, Mask: 0xfff00000, Table: table},
		{Priority: 6410, Mark: 2 << 20, Mask: 0xfff00000, Table: table + 1},
		{Priority: 6410, Mark: 2 << 20, Mask: 0xfff00000, Table: table + 1, Is6: true},
		{Priority: 6411, Table: 64181},
		{Priority: 6412, Src: prefix("192.0.2.2/32"), Table: table},
		{Priority: 6412, Src: prefix("2001:db8::2/128"), Is6: true, Table: table},
		{Priority: 6411, Table: table, Spared: 7},
		{Priority: 6413, Oif: "e1", Table: table},
		{Priority: 6413, Oif: "e2", Table: table, Is6: true},
		{Priority: 6414, Mask: 0xfff00000, Invert: true, Type: netwatch.Unreachable},
		{Priority: 6414, Mask: 0xfff00000, Invert: true, Type: netwatch.Unreachable, Is6: true},
		{Priority: 6414, Iif: "e1", Table: 9},
	}
	foreign := netwatch.Rule{Priority: 6412, Src: prefix("192.0.2.77/32"), Table: 99, Protocol: 4}
	must(t, n.Do(func() error {
		rule := foreign
		return addForeign(rule)
	}))
	rnd := rand.New(rand.NewPCG(6418, 2))
	for round := range 60 {
		var want []netwatch.Rule
		for _, r := range all {
			if rnd.IntN(2) > 0 {
				want = append(want, r)
			}
		}
		must(t, n.Do(func() error {
			st, err := netwatch.Read()
			if err != nil {
				return err
			}
			return netwatch.SyncRules(st.Rules, want, ownRule)
		}))
		var got []netwatch.Rule
		for _, r := range read(t, n).Rules {
			if ownRule(r.Priority) && r.Protocol == netwatch.Protocol {
				r.Protocol = 0
				got = append(got, r)
			}
		}
		missing := slices.DeleteFunc(slices.Clone(want), func(r netwatch.Rule) bool { return slices.Contains(got, r) })
		extra := slices.DeleteFunc(slices.Clone(got), func(r netwatch.Rule) bool { return slices.Contains(want, r) })
		if len(missing)+len(extra) > 0 || len(got) != len(want) {
			t.Fatalf("round %d: missing %+v, too much %+v", round, missing, extra)
		}
	}
	if !slices.Contains(read(t, n).Rules, foreign) {
		t.Error("a rule of somebody else is gone")
	}
}

// TestSyncRoutesWithAnOldState is what happens when the kernel was faster.
func TestSyncRoutesWithAnOldState(t *testing.T) {
	n := newNode(t)
	want := []netwatch.Route{{Table: table, Dst: prefix("0.0.0.0/0"), Type: netwatch.Unreachable, Metric: 1}}
	old := []netwatch.Route{{Table: table, Dst: netip.MustParsePrefix("10.0.0.0/8"), Type: netwatch.Unreachable, Metric: 1, Protocol: netwatch.Protocol}}
	for range 2 { // the second time it is there already, and what is to go is not
		must(t, n.Do(func() error { return netwatch.SyncRoutes(old, want, own) }))
	}
	if diff := cmp.Diff(want, ours(t, n), byValue); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
