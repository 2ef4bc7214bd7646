package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mifvif/lab"
	"mifvif/lab/nd"
)

// eventually waits until f returns nil.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	err := f()
	for deadline := time.Now().Add(10 * time.Second); err != nil; err = f() {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// contains looks for a text in the host's IPv6 addresses and routes.
func contains(c *lab.Common, text string) error {
	state, err := c.Host.Snapshot()
	if err != nil {
		return err
	}
	if all := strings.Join(state, "\n"); !strings.Contains(all, text) {
		return fmt.Errorf("%q is not in the host's state:\n%s", text, all)
	}
	return nil
}

// TestTwoRoutersShareALink has the host's kernel configure itself, which it does
// only for valid advertisements, and sends by either router.
func TestTwoRoutersShareALink(t *testing.T) {
	c := newCommon(t, lab.TwoRouters(nil))
	capture, err := c.Host.Capture("e3", func(r lab.Record) bool { return r.Out && r.Proto == 17 })
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"r3a", "r3b"} {
		n := c.Network(name)
		eventually(t, func() error { return contains(c, "address "+strings.TrimSuffix(n.Link6().Addr().String(), ":")) })
		eventually(t, func() error { return contains(c, "via "+n.Gateway6().String()) })
		conn, err := c.Host.DialUDP(netip.AddrPortFrom(n.Resolver6(), 53), lab.SocketOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		mac, err := c.Node(name).MAC("lan")
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			for _, r := range capture.Records() {
				if r.Dst == n.Resolver6() && r.DstMAC == mac {
					return nil
				}
			}
			return fmt.Errorf("nothing left e3 for %v at %x", n.Resolver6(), mac)
		})
	}
}

func TestAdvertiserAnswersAndFallsSilent(t *testing.T) {
	c := newCommon(t, lab.TwoRouters(nil))
	heard, err := c.Host.Capture("e3", func(r lab.Record) bool {
		return !r.Out && r.Proto == 58 && r.SrcPort == 134<<8 && r.TTL == 255 && r.Src == c.Network("r3a").Gateway6()
	})
	if err != nil {
		t.Fatal(err)
	}
	reply := func(before uint64) error {
		if heard.Matched() > before {
			return nil
		}
		return errors.New("no advertisement heard")
	}
	before := heard.Matched()
	// The kernel solicits when a link comes up.
	if err := errors.Join(c.Host.LinkDown("e3"), c.Host.LinkUp("e3")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return reply(before) })
	c.Advertisers["r3a"].Set(c.Network("r3a").PlainAdvert().With(nd.MTU(1400)))
	eventually(t, func() error {
		if mtu, err := c.Host.Sysctl("net/ipv6/conf/e3/mtu"); mtu != "1400" {
			return fmt.Errorf("the link's MTU is %s: %w", mtu, errors.Join(err, errors.New("want 1400")))
		}
		return nil
	})
	c.Advertisers["r3a"].Silence()
	before = heard.Matched()
	time.Sleep(100 * time.Millisecond)
	if heard.Matched() != before {
		t.Error("a silent router advertises")
	}
}

func TestFloodKeepsItsRate(t *testing.T) {
	c := newCommon(t, lab.TwoNetworks())
	seen, err := c.Host.Capture("e1", func(r lab.Record) bool { return !r.Out && r.Proto == 58 && r.SrcPort == 134<<8 })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	sent, err := c.Node("n1").Flood(ctx, "lan", 500, func(i int) lab.Advert {
		router := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: byte(i >> 8), 15: byte(i)})
		return lab.Advert{Source: router, Message: nd.RA{Lifetime: time.Minute}.Bytes()}
	})
	if most := int(time.Since(start).Seconds()*500) + 2; err != nil || sent < 50 || sent > most {
		t.Errorf("sent %d, %v; want at most %d", sent, err, most)
	}
	eventually(t, func() error {
		if got := seen.Matched(); got != uint64(sent) {
			return fmt.Errorf("the host saw %d of %d", got, sent)
		}
		return nil
	})
}
