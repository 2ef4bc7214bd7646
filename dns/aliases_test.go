package dns

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"mifvif/pvd"
)

func given(n *Names, name string, d *pvd.Domain, addr string, exact bool) string {
	l := learned("10.0.0.1", name, addr, time.Minute)
	l.Domain, l.Private, l.Exact = d, true, exact
	return n.Learn(l)[0].String()
}

func TestNamesOfOneAddressInTwoDomainsAreToldApart(t *testing.T) {
	n1, n2 := domain(1, "n1"), domain(2, "n2")
	dead := map[pvd.Key]bool{}
	n := NewNames(NamesConfig{Max: 100, PerApp: 1, Alive: func(k pvd.Key) bool { return !dead[k] }})
	now := time.Unix(1000, 0)
	n.now = func() time.Time { return now }
	for i, st := range []struct {
		name  string
		in    *pvd.Domain
		exact bool
		want  string
	}{
		{"a", n1, false, "192.168.50.80"},
		{"b", n1, false, "192.168.50.80"}, // one domain: nothing to tell apart
		{"c", n2, false, "198.19.0.1"},
		{"a", n1, false, "192.168.50.80"},
		{"c", n2, false, "198.19.0.1"},
		{"d", n2, false, "198.19.0.2"},
		{"c", n2, true, "192.168.50.80"}, // checks signatures: never an alias
		{"a", n1, false, "198.19.0.3"},
	} {
		if got := given(n, st.name, st.in, "192.168.50.80", st.exact); got != st.want {
			t.Errorf("step %d: %s got %s, want %s", i, st.name, got, st.want)
		}
	}
	b, ok := n.Lookup(netip.Addr{}, netip.MustParseAddr("198.19.0.1"))
	if !ok || b.Name != "c" || b.Domain != n2 || !b.Private || b.Real.String() != "192.168.50.80" {
		t.Errorf("the alias is %+v", b)
	}
	if name, ok := n.AliasName(netip.MustParseAddr("198.19.0.2")); !ok || name != "d" {
		t.Errorf("198.19.0.2 is called %q", name)
	}
	if _, ok := n.Lookup(netip.Addr{}, netip.MustParseAddr("198.19.9.9")); ok {
		t.Error("nobody was given 198.19.9.9")
	}
	dead[n2.Key()] = true
	if got := given(n, "e", n1, "192.168.50.80", false); got != "192.168.50.80" {
		t.Errorf("the answer of a domain that is gone is in the way: %s", got)
	}
	if got := given(n, "six", n1, "fd00::1", false); got != "fd00::1" {
		t.Error(got)
	}
	dead[n2.Key()] = false
	if got := given(n, "six", n2, "fd00::1", false); got != "2001:2:0:2::4" {
		t.Errorf("got %s for the second name of fd00::1", got)
	}
}

func TestPublicAddressesGetNoAlias(t *testing.T) {
	n := NewNames(NamesConfig{Max: 100, PerApp: 1})
	for i, d := range []*pvd.Domain{domain(1, "n1"), domain(2, "n2")} {
		l := learned("10.0.0.1", fmt.Sprint("n", i), "203.0.113.80", time.Minute)
		l.Domain = d
		if got := n.Learn(l)[0].String(); got != "203.0.113.80" {
			t.Errorf("got %s", got)
		}
	}
}

func TestAliasesAreBounded(t *testing.T) {
	a := newAliases()
	d := domain(1, "n1")
	for i := range 3 * maxNamesakes {
		if _, ok := a.of(Binding{Name: fmt.Sprint(i), Domain: d}, netip.MustParseAddr("192.168.50.80")); !ok {
			t.Fatal("no alias is free")
		}
	}
	if a.used.Len() != maxNamesakes || len(a.byKey) != maxNamesakes || len(a.byTo) != maxNamesakes {
		t.Errorf("%d aliases, want %d", a.used.Len(), maxNamesakes)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	n := NewNames(NamesConfig{Max: 100, PerApp: 1})
	given(n, "a", domain(1, "n1"), "192.168.50.80", false)
	app, addr := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.168.50.80")
	if got := testing.AllocsPerRun(100, func() { n.Lookup(app, addr) }); got > 0 {
		t.Errorf("%v allocations", got)
	}
}
