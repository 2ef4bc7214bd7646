package uplinks_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mifvif/lab"
	"mifvif/pvd"
)

// TestTheNextHopFollowsTheSourceInsideOneDomain has two routers of one link speak
// of one domain, with a prefix each. Whoever chose a packet's source, it goes to
// the router that advertised its prefix (RFC 8028 3.1), also to a destination that
// the other router announces.
func TestTheNextHopFollowsTheSourceInsideOneDomain(t *testing.T) {
	const id = "a.example.org"
	layout := lab.TwoRouters(nil)
	b := newBench(t, layout)
	index, err := b.Host.LinkIndex("e3")
	must(t, err)
	routers, macs := make(map[string]lab.Network), make(map[string][6]byte)
	for _, n := range layout.Networks {
		if n.Link != "e3" {
			continue
		}
		routers[n.Name] = n
		macs[n.Name], err = b.Node(n.Name).MAC("lan")
		must(t, err)
		report := pvd.Report{
			Origin: pvd.FromRA, Ifindex: index, Sender: n.Gateway6(), Received: time.Now(), ID: id,
			RA:      &pvd.Advertisement{Lifetime: time.Hour},
			Adverts: []pvd.Advert{{Prefix: n.Link6(), Router: n.Gateway6(), OnLink: true, Auto: true}},
		}
		if n.Name == "r3b" { // the better one, and the one to the destination
			report.RA.Preference = pvd.High
			report.Routes = []pvd.Route{{Dst: netip.PrefixFrom(lab.Public6(), 64).Masked(), Via: n.Gateway6(), Origin: pvd.FromRA}}
		}
		b.builder.Learn(report)
	}
	eventually(t, "an address of each prefix is there", func() bool {
		b.apply()
		d := b.pvds.ByName(id)
		return d != nil && len(d.Addresses) == 2 && len(d.NextHops) == 2
	})
	d := b.pvds.ByName(id)

	dials := map[string]func(ctx context.Context, src netip.Addr, dst netip.AddrPort) error{
		"a socket of the domain": func(ctx context.Context, src netip.Addr, dst netip.AddrPort) error {
			return b.Host.Do(func() error {
				c, err := b.set.DialTCP(ctx, d, src, dst, 0)
				if err == nil {
					c.Close()
				}
				return err
			})
		},
		"an app that binds the address": func(ctx context.Context, src netip.Addr, dst netip.AddrPort) error {
			c, err := b.Host.DialTCP(ctx, dst, lab.SocketOptions{Source: netip.AddrPortFrom(src, 0)})
			if err == nil {
				c.Close()
			}
			return err
		},
		"an app that binds the device": func(ctx context.Context, _ netip.Addr, dst netip.AddrPort) error {
			c, err := b.Host.DialTCP(ctx, dst, lab.SocketOptions{Device: "e3"})
			if err == nil {
				c.Close()
			}
			return err
		},
	}
	dst := netip.AddrPortFrom(lab.Public6(), lab.PortEcho)
	for who, dial := range dials {
		for name, n := range routers {
			src := d.Addresses[slices.IndexFunc(d.Addresses, func(a pvd.Address) bool { return n.Link6().Contains(a.Prefix.Addr()) })].Prefix.Addr()
			capture, err := b.Host.Capture("e3", func(r lab.Record) bool { return r.Out && r.Dst == dst.Addr() })
			must(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			err = dial(ctx, src, dst)
			cancel()
			must(t, err)
			eventually(t, "the packets are seen", func() bool { return len(capture.Records()) > 2 })
			for _, r := range capture.Records() {
				owner := ""
				for o, of := range routers {
					if of.Link6().Contains(r.Src) {
						owner = o
					}
				}
				if owner == "" || r.DstMAC != macs[owner] || who != "an app that binds the device" && owner != name {
					t.Errorf("%s with the source of %s: a packet of %q went to %x, the routers are %x: %v", who, name, owner, r.DstMAC, macs, r)
				}
			}
			must(t, capture.Close())
		}
	}
	b.apply()
	if before := b.snapshot(); !slices.Equal(before, func() lab.Snapshot { b.apply(); return b.snapshot() }()) {
		t.Error("applying the same again has changed something")
	}
}

// TestARouterOutsideThePrefixIsReached has a DHCP server lease a single address
// and name a router that no prefix of the host's holds.
func TestARouterOutsideThePrefixIsReached(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	index, err := b.Host.LinkIndex("e1")
	must(t, err)
	n := b.Network("n1")
	far := addr("203.0.113.1")
	must(t, b.Node("n1").AddAddress("lan", netip.PrefixFrom(far, 32)))
	must(t, b.Host.DeleteAddress("e1", netip.PrefixFrom(n.Host4(), 24)))
	must(t, b.Host.AddAddress("e1", netip.PrefixFrom(n.Host4(), 32)))
	b.builder.Learn(pvd.Report{
		Origin: pvd.FromDHCPv4, Ifindex: index, Sender: n.Gateway4(), Received: time.Now(),
		NextHops: []pvd.NextHop{{Addr: far, Origin: pvd.FromDHCPv4}},
	})
	b.apply()
	conn, err := b.dial(b.domain("e1"), netip.AddrPortFrom(lab.Public4(), lab.PortEcho), 0)
	must(t, err)
	defer conn.Close()
	if src, network := seen(t, conn); src != n.Host4() || network != "n1" {
		t.Errorf("the server saw %v of %s", src, network)
	}
}
