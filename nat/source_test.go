package nat

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mifvif/pvd"
)

// having returns a domain with addresses in words: each may be followed by
// deprecated, tmp, second or home, a prefix length by itself.
func having(words string) *pvd.Domain {
	d := new(pvd.Domain)
	for w := range strings.FieldsSeq(words) {
		at := len(d.Addresses) - 1
		switch w {
		case "deprecated":
			d.Addresses[at].Deprecated = true
		case "tmp":
			d.Addresses[at].Temporary = true
		case "second":
			d.Addresses[at].Secondary = true
		case "home":
			d.Addresses[at].Home = true
		default:
			a := netip.MustParseAddr(w)
			length := 64
			if a.Is4() {
				length = 24
			}
			d.Addresses = append(d.Addresses, pvd.Address{Prefix: netip.PrefixFrom(a, length)})
		}
	}
	return d
}

// row is one row of a table: prefix, precedence, label.
func row(prefix string, precedence, label uint8) pvd.PolicyRow {
	return pvd.PolicyRow{Prefix: netip.MustParsePrefix(prefix), Precedence: precedence, Label: label}
}

// TestSourceSelection has the examples of RFC 6724 10.1 and those of standards C8,
// each with the rule that decides.
func TestSourceSelection(t *testing.T) {
	routers := func(d *pvd.Domain) {
		d.NextHops = []pvd.NextHop{{Addr: netip.MustParseAddr("fe80::a"), Is6: true}, {Addr: netip.MustParseAddr("fe80::b"), Is6: true}}
		d.Adverts = []pvd.Advert{
			{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Router: netip.MustParseAddr("fe80::a")},
			{Prefix: netip.MustParsePrefix("2001:db8:fe::/64"), Router: netip.MustParseAddr("fe80::b")},
		}
	}
	byRoute := func(d *pvd.Domain) {
		routers(d)
		d.Routes = []pvd.Route{{Dst: netip.MustParsePrefix("2001:db8:ff::/48"), Via: netip.MustParseAddr("fe80::b")}}
	}
	via := func(hop, source string) func(*pvd.Domain) {
		return func(d *pvd.Domain) {
			h := pvd.NextHop{Addr: netip.MustParseAddr(hop)}
			if source != "" {
				h.Source = netip.MustParseAddr(source)
			}
			d.NextHops = []pvd.NextHop{{Addr: netip.MustParseAddr("fe80::a"), Is6: true}, h}
			d.Routes = []pvd.Route{{Dst: netip.MustParsePrefix("172.16.0.0/12"), Via: netip.MustParseAddr("10.0.0.1")}}
		}
	}
	public := func(d *pvd.Domain) { d.PreferPublic = true }
	for _, tt := range []struct {
		rule, dst, have string
		want            string
		set             func(*pvd.Domain)
	}{
		{"2", "2001:db8:1::1", "2001:db8:3::1 fe80::1", "2001:db8:3::1", nil},
		{"2", "ff05::1", "2001:db8:3::1 fe80::1", "2001:db8:3::1", nil},
		{"1", "2001:db8:1::1", "2001:db8:1::1 deprecated 2001:db8:2::1", "2001:db8:1::1", nil},
		{"2", "fe80::1", "fe80::2 deprecated 2001:db8:1::1", "fe80::2", nil},
		{"8", "2001:db8:1::1", "2001:db8:1::2 2001:db8:3::2", "2001:db8:1::2", nil},
		{"4", "2001:db8:1::1", "2001:db8:1::2 2001:db8:3::2 home", "2001:db8:3::2", nil},
		{"6", "2002:c633:6401::1", "2002:c633:6401::d5e3:7953:13eb:22e8 tmp 2001:db8:1::2", "2002:c633:6401::d5e3:7953:13eb:22e8", nil},
		{"7", "2001:db8:1::d5e3:0:0:1", "2001:db8:1::2 2001:db8:1::d5e3:7953:13eb:22e8 tmp", "2001:db8:1::d5e3:7953:13eb:22e8", nil},
		{"7 turned around", "2001:db8:1::d5e3:0:0:1", "2001:db8:1::2 2001:db8:1::d5e3:7953:13eb:22e8 tmp", "2001:db8:1::2", public},
		{"5.5", "2001:db8:ff::1", "2001:db8:1::2 2001:db8:fe::2", "2001:db8:1::2", routers},
		{"5.5 by a route's router", "2001:db8:ff::1", "2001:db8:1::2 2001:db8:fe::2", "2001:db8:fe::2", byRoute},
		{"the router's prefix", "203.0.113.1", "10.0.0.5 192.168.1.5", "192.168.1.5", via("192.168.1.1", "")},
		{"a route's router's prefix", "172.16.9.9", "10.0.0.5 192.168.1.5", "10.0.0.5", via("192.168.1.1", "")},
		{"8, on the link", "10.0.0.9", "10.0.0.5 192.168.1.5", "10.0.0.5", via("192.168.1.1", "")},
		{"the first of its prefix", "203.0.113.1", "192.168.1.5 second 192.168.1.77 10.0.0.5", "192.168.1.77", via("192.168.1.1", "")},
		{"the route's own", "203.0.113.1", "192.168.1.5 second 192.168.1.77 10.0.0.5", "10.0.0.5", via("192.168.1.1", "10.0.0.5")},
		{"the route's own is gone", "203.0.113.1", "192.168.1.77 10.0.0.5", "192.168.1.77", via("192.168.1.1", "10.0.0.6")},
		{"6", "ff0e::1", "2001:db8:1::1 fd11:1111:1111:1::1", "2001:db8:1::1", nil},
		{"3", "2001:db8:9::1", "2001:db8:9::2 deprecated 2001:db8:2::2", "2001:db8:2::2", nil},
		{"only a deprecated one", "2001:db8:1::1", "2001:db8:2::1 deprecated", "", nil},
		{"another family", "203.0.113.1", "2001:db8:2::1", "", nil},
	} {
		t.Run(tt.rule+" "+tt.dst, func(t *testing.T) {
			d := having(tt.have)
			if tt.set != nil {
				tt.set(d)
			}
			for range 2 {
				got, ok := SelectSource(d, netip.MustParseAddr(tt.dst))
				if ok != (tt.want != "") || ok && got != netip.MustParseAddr(tt.want) {
					t.Errorf("%s, want %s", got, tt.want)
				}
				slices.Reverse(d.Addresses)
			}
		})
	}
}

// TestDestinationOrder has the examples of RFC 6724 10.2 and those of standards C8.
func TestDestinationOrder(t *testing.T) {
	sixLabels := []pvd.PolicyRow{row("2001:db8:1aaa::/48", 43, 6), row("2001:db8:1bbb::/48", 43, 6)}
	for i, tt := range []struct {
		rule, have, list, want string
		table                  []pvd.PolicyRow
	}{
		{"2", "2001:db8:1::2 fe80::1 169.254.13.78", "2001:db8:1::1 198.51.100.121", "2001:db8:1::1 198.51.100.121", nil},
		{"2", "fe80::1 198.51.100.117", "2001:db8:1::1 198.51.100.121", "198.51.100.121 2001:db8:1::1", nil},
		{"6", "2001:db8:1::2 fe80::1 10.1.2.4", "2001:db8:1::1 10.1.2.3", "2001:db8:1::1 10.1.2.3", nil},
		{"8", "2001:db8:1::2 fe80::2", "2001:db8:1::1 fe80::1", "fe80::1 2001:db8:1::1", nil},
		{"4", "2001:db8:1::2 2001:db8:3::1 home fe80::2", "fe80::1 2001:db8:1::1", "2001:db8:1::1 fe80::1", nil},
		{"3", "2001:db8:1::2 fe80::2 deprecated", "fe80::1 2001:db8:1::1", "2001:db8:1::1 fe80::1", nil},
		{"9", "2001:db8:1::2 2001:db8:3f44::2 fe80::2", "2001:db8:3ffe::1 2001:db8:1::1", "2001:db8:1::1 2001:db8:3ffe::1", nil},
		{"5", "2002:c633:6401::2 fe80::2", "2001:db8:1::1 2002:c633:6401::1", "2002:c633:6401::1 2001:db8:1::1", nil},
		{"6", "2002:c633:6401::2 2001:db8:1::2 fe80::2", "2002:c633:6401::1 2001:db8:1::1", "2001:db8:1::1 2002:c633:6401::1", nil},
		{"6", "2001:db8:1::2 fe80::1 10.1.2.4", "2001:db8:1::1 10.1.2.3", "10.1.2.3 2001:db8:1::1", []pvd.PolicyRow{row("::ffff:0:0/96", 100, 4)}},
		{"2", "2001:db8:1::2 fe80::1 169.254.13.78", "198.51.100.121 2001:db8:1::1", "2001:db8:1::1 198.51.100.121", []pvd.PolicyRow{row("0.0.0.0/0", 100, 4)}},
		{"6", "2001:db8:1::2 fe80::2", "fe80::1 2001:db8:1::1", "2001:db8:1::1 fe80::1", []pvd.PolicyRow{row("fe80::/10", 33, 1)}},
		{"3", "2001:db8:1::2 deprecated fe80::2", "2001:db8:1::1 fe80::1", "fe80::1 2001:db8:1::1", []pvd.PolicyRow{row("fe80::/10", 33, 1)}},
		{"9", "2001:db8:1aaa::a 2001:db8:70aa::a", "2001:db8:1bbb::b 2001:db8:70bb::b", "2001:db8:70bb::b 2001:db8:1bbb::b", nil},
		{"6", "2001:db8:1aaa::a 2001:db8:70aa::a", "2001:db8:70bb::b 2001:db8:1bbb::b", "2001:db8:1bbb::b 2001:db8:70bb::b", sixLabels},
		{"9", "2001:db8:1aaa::a 2001:db8:70aa::a", "2001:db8:1ccc::c 2001:db8:6ccc::c", "2001:db8:6ccc::c 2001:db8:1ccc::c", sixLabels},
		{"6", "2001:db8:1::1 fd11:1111:1111:1::1", "fd22:2222:2222:2::2 2001:db8:2::2", "2001:db8:2::2 fd22:2222:2222:2::2", nil},
		{"6", "2001:db8:1::1 fd11:1111:1111:1::1", "2001:db8:2::2 fd11:1111:1111:2::2", "fd11:1111:1111:2::2 2001:db8:2::2", []pvd.PolicyRow{row("fd11:1111:1111::/48", 45, 14)}},
		{"5", "2002:c633:6401::2 10.1.2.3", "2001:db8:1::1 203.0.113.1", "203.0.113.1 2001:db8:1::1", nil},
		{"1", "2001:db8:1::2", "203.0.113.1 2001:db8:9::9", "2001:db8:9::9 203.0.113.1", nil},
		{"5", "2001:db8:1::2 10.1.0.9", "fd00::5 203.0.113.1", "203.0.113.1 fd00::5", nil},
		{"10", "2001:db8:1::2", "2001:db8:9::9 2001:db8:9::8", "2001:db8:9::9 2001:db8:9::8", nil},
		{"a table of its own", "2001:db8:1::2 10.1.0.9", "2002::1 203.0.113.1", "2002::1 203.0.113.1", []pvd.PolicyRow{row("::/0", 40, 1), row("::ffff:0:0/96", 35, 4)}},
	} {
		t.Run(strconv.Itoa(i+1)+" rule "+tt.rule, func(t *testing.T) {
			d := having(tt.have)
			d.Selection = tt.table
			var list []netip.Addr
			for w := range strings.FieldsSeq(tt.list) {
				list = append(list, netip.MustParseAddr(w))
			}
			SortDestinations(d, list)
			var got []string
			for _, a := range list {
				got = append(got, a.String())
			}
			if diff := cmp.Diff(strings.Fields(tt.want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSelectSourceDoesNotAllocate(t *testing.T) {
	d := having("2001:db8:1::2 2001:db8:3::2 10.1.2.4")
	d.Selection = []pvd.PolicyRow{row("::ffff:0:0/96", 100, 4)}
	d.NextHops = []pvd.NextHop{{Addr: netip.MustParseAddr("fe80::a"), Is6: true}}
	d.Adverts = []pvd.Advert{{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Router: netip.MustParseAddr("fe80::a")}}
	dst := netip.MustParseAddr("2001:db8:9::9")
	if n := testing.AllocsPerRun(100, func() { SelectSource(d, dst) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
