package pvd

import (
	"net/netip"
	"strings"
	"testing"

	"mifvif/netwatch"
)

// kernel is a netwatch.State that tests build in the words of ip(8).
type kernel struct{ netwatch.State }

// link adds an interface that is up; words: down, nocarrier, p2p, lo.
func (k *kernel) link(index int, name string, words ...string) *kernel {
	l := netwatch.Link{Index: index, Name: name, MTU: 1500, Up: true, Carrier: true}
	for _, w := range words {
		switch w {
		case "down":
			l.Up, l.Carrier = false, false
		case "nocarrier":
			l.Carrier = false
		case "p2p":
			l.PointToPoint = true
		case "lo":
			l.Loopback = true
		}
	}
	k.Links = append(k.Links, l)
	return k
}

// addr adds an address; words: tentative, deprecated, temporary, host (not global).
func (k *kernel) addr(index int, prefix string, words ...string) *kernel {
	a := netwatch.Address{
		Ifindex: index, Prefix: netip.MustParsePrefix(prefix), Global: true, Valid: netwatch.Forever, Preferred: netwatch.Forever,
	}
	for _, w := range words {
		switch w {
		case "tentative":
			a.Tentative = true
		case "deprecated":
			a.Deprecated = true
		case "temporary":
			a.Temporary = true
		case "host":
			a.Global = false
		}
	}
	k.Addresses = append(k.Addresses, a)
	return k
}

// route adds a route of main: "default", "default6" or a prefix; via is "" for
// a route without gateway.
func (k *kernel) route(index int, dst, via string, set ...func(*netwatch.Route)) *kernel {
	switch dst {
	case "default":
		dst = "0.0.0.0/0"
	case "default6":
		dst = "::/0"
	}
	r := netwatch.Route{Table: mainTable, Dst: netip.MustParsePrefix(dst), Ifindex: index, Protocol: 3}
	if via != "" {
		r.Gateway = netip.MustParseAddr(via)
	}
	for _, f := range set {
		f(&r)
	}
	k.Routes = append(k.Routes, r)
	return k
}

func metric(n int) func(*netwatch.Route)   { return func(r *netwatch.Route) { r.Metric = n } }
func protocol(n int) func(*netwatch.Route) { return func(r *netwatch.Route) { r.Protocol = n } }

// plain is a host with one dual-stack uplink eth0.
func plain() *kernel {
	return new(kernel).link(1, "lo", "lo").addr(1, "127.0.0.1/8", "host").
		link(2, "eth0").addr(2, "192.0.2.10/24").addr(2, "2001:db8:1::10/64").
		route(2, "default", "192.0.2.1").route(2, "default6", "fe80::1", protocol(9)).route(2, "192.0.2.0/24", "", protocol(2))
}

// describe says in one line what a test looks at of a domain.
func describe(d *Domain) string {
	if d == nil {
		return "none"
	}
	words := []string{d.Name, string(d.State)}
	if d.State == Offline {
		words = append(words, "("+d.Reason+")")
	}
	if d.Internet {
		words = append(words, "internet")
	}
	for _, a := range d.Addresses {
		words = append(words, a.Prefix.String())
	}
	for _, h := range d.NextHops {
		via := "via " + h.Addr.String()
		if !h.Addr.IsValid() {
			via = "via link"
			if h.Is6 {
				via = "via link6"
			}
		}
		if h.Origin != FromKernel {
			via += " " + string(h.Origin)
		}
		if h.Overrides {
			via += " overrides"
		}
		words = append(words, via)
	}
	for _, r := range d.Routes {
		words = append(words, "route "+r.Dst.String())
	}
	for _, r := range d.Resolvers {
		words = append(words, "dns "+r.Addr.Addr().String())
	}
	return strings.Join(words, " ")
}

// lines describes a whole set.
func lines(s *Set) []string {
	var out []string
	for _, d := range s.All() {
		out = append(out, describe(d))
	}
	return out
}

func prefixes(t *testing.T, list ...string) []netip.Prefix {
	t.Helper()
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}
