package uplinks_test

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"mifvif/lab"
)

// way is a question to the kernel and its answer: the interface with the
// gateway, or the error.
type way struct {
	name     string
	dst, src netip.Addr
	mark     uint32
	oif      string
	want     string
}

func (b *bench) ask(w way) string {
	opts := &netlink.RouteGetOptions{Mark: w.mark, Oif: w.oif}
	if w.src.IsValid() {
		opts.SrcAddr = w.src.AsSlice()
	}
	routes, err := b.Host.Netlink().RouteGetWithOptions(w.dst.AsSlice(), opts)
	if err != nil {
		return err.Error()
	}
	link, err := b.Host.Netlink().LinkByIndex(routes[0].LinkIndex)
	must(b.t, err)
	answer := link.Attrs().Name
	if routes[0].Gw != nil {
		answer += " via " + routes[0].Gw.String()
	}
	return answer
}

// TestEveryRuleIsNeeded asks the kernel for routes that depend on one rule each,
// with all rules in place and again without that one.
func TestEveryRuleIsNeeded(t *testing.T) {
	b := newBench(t, lab.WithTunnel())
	b.apply()
	mark := func(link string) uint32 { return b.domain(link).Mark() }
	const noNet, noHost, trapped = "network is unreachable", "no route to host", "permission denied"
	shared4, shared6 := netip.Addr{}, addr("2001:db8:5::5") // no domain's, so only the mark tells
	cases := []struct {
		rule    int
		without string
		way
	}{
		{6410, noNet, way{"(a) a mark leads to its domain", lab.Public4(), shared4, mark("e2"), "", "e2 via 10.2.0.1"}},
		{6410, noNet, way{"(a) a mark leads to its domain, IPv6", lab.Public6(), shared6, mark("e2"), "", "e2 via fe80::2"}},
		{6410, noNet, way{"(a) what is behind a domain", lab.Behind(), shared4, mark("e4"), "", "e4 via 10.8.0.1"}},
		{6410, noNet, way{"(a) a domain without a route refuses", lab.Public4(), shared4, mark("e4"), "", noHost}},
		{6410, noNet, way{"(a) a domain without a route refuses, IPv6", lab.Public6(), shared6, mark("e4"), "", noHost}},
		{6410, noNet, way{"(a) another uplink's neighbours are behind the router", addr("10.1.0.1"), shared4, mark("e2"), "", "e2 via 10.2.0.1"}},
		{6411, "e2 via 10.2.0.1", way{"(a2) answers to the LAN stay there", addr("10.77.0.9"), addr("10.2.0.2"), 0, "", "lan0"}},
		{6411, "e2 via fe80::2", way{"(a2) answers to the LAN stay there, IPv6", addr("2001:db8:77::9"), addr("2001:db8:2::2"), 0, "", "lan0"}},
		{6413, trapped, way{"(b) an address leads to its domain", lab.Public4(), addr("10.2.0.2"), 0, "", "e2 via 10.2.0.1"}},
		{6413, trapped, way{"(b) an address leads to its domain, IPv6", lab.Public6(), addr("2001:db8:2::2"), 0, "", "e2 via fe80::2"}},
		{6413, noNet, way{"(b) the domainless mark goes by source", lab.Public4(), addr("10.2.0.2"), 0xfff00000, "", "e2 via 10.2.0.1"}},
		{6413, noNet, way{"(b) the domainless mark goes by source, IPv6", lab.Public6(), addr("2001:db8:2::2"), 0xfff00000, "", "e2 via fe80::2"}},
		{6413, noNet, way{"(b) the domainless mark stays out of the LAN", addr("10.77.0.9"), addr("10.2.0.2"), 0xfff00000, "", "e2 via 10.2.0.1"}},
		{6414, "e2", way{"(b2) a device leads to its domain's next hop", lab.Public4(), netip.Addr{}, 0, "e2", "e2 via 10.2.0.1"}},
		{6415, trapped, way{"(b3) a mark of nobody's is refused", lab.Public4(), netip.Addr{}, 0x7ff << 20, "", noNet}},
		{6415, trapped, way{"(b3) a mark of nobody's is refused, IPv6", lab.Public6(), netip.Addr{}, 0x7ff << 20, "", noNet}},
		{6415, trapped, way{"(b3) the domainless mark without a source of ours is refused", lab.Public4(), netip.Addr{}, 0xfff00000, "", noNet}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b.apply()
			if got := b.ask(c.way); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			n, err := b.Host.DeleteRules(func(priority int) bool { return priority == c.rule })
			must(t, err)
			if n == 0 {
				t.Fatalf("there was no rule %d", c.rule)
			}
			if got := b.ask(c.way); got != c.without {
				t.Errorf("without rule %d: %q, want %q", c.rule, got, c.without)
			}
		})
	}
}

// TestDeviceRuleComesBeforeMain is the same for (b2) and IPv6, where main would
// be asked after mif0's table had nothing for the device.
func TestDeviceRuleComesBeforeMain(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	b.apply()
	must(t, b.Host.AddRoute(lab.Route{To: prefix("::/0"), Via: addr("fe80::99"), Dev: "e1", Metric: 1}))
	question := way{dst: lab.Public6(), oif: "e1"}
	if got := b.ask(question); got != "e1 via fe80::1" {
		t.Errorf("%q, want the domain's next hop", got)
	}
	_, err := b.Host.DeleteRules(func(priority int) bool { return priority == 6414 })
	must(t, err)
	if got := b.ask(question); got != "e1 via fe80::99" {
		t.Errorf("%q without the rule, want main's", got)
	}
}

// TestOthersAreNotDrawnIn: what has no mark, no address and no device of ours is
// left to what comes after our rules.
func TestOthersAreNotDrawnIn(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	b.apply()
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		if got := b.ask(way{dst: dst}); got != "permission denied" {
			t.Errorf("%s is taken to %q", dst, got)
		}
		if got := b.ask(way{dst: dst, mark: 0x8000}); got != "permission denied" {
			t.Errorf("%s with somebody else's mark is taken to %q", dst, got)
		}
	}
}
