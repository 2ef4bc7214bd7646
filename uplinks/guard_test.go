package uplinks_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"

	"mifvif/lab"
	"mifvif/uplinks"
)

// dropped returns the guard's counters.
func (b *bench) dropped() (d uplinks.Drops) {
	b.t.Helper()
	must(b.t, b.Host.Do(func() (err error) {
		d, err = b.set.Dropped()
		return err
	}))
	return d
}

// withoutGuard takes the nftables table away, as if it had never been made.
func (b *bench) withoutGuard() {
	b.t.Helper()
	must(b.t, b.Host.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		conn.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "mifvif"})
		return conn.Flush()
	}))
}

// TestStrongHost: the router of e1's network sends to e2's address, the host's
// own e1 address, mif0's addresses and the LAN's (RFC 6418 3.3-1).
func TestStrongHost(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	must(t, b.Host.AddAddress("lo", prefix("198.18.0.1/32"), prefix("2001:2::1/128"))) // as if mif0 was there
	n1 := b.Node("n1")
	for _, dst := range []string{"10.2.0.2/32", "198.18.0.1/32", "10.77.0.1/32"} {
		must(t, n1.AddRoute(lab.Route{To: prefix(dst), Via: addr("10.1.0.2"), Dev: "lan"}))
	}
	for _, dst := range []string{"2001:db8:2::2/128", "2001:2::1/128"} {
		must(t, n1.AddRoute(lab.Route{To: prefix(dst), Via: addr("2001:db8:1::2"), Dev: "lan"}))
	}
	b.apply()
	cases := []struct {
		dst     string
		arrives bool
	}{
		{"10.1.0.2", true},
		{"2001:db8:1::2", true},
		{"10.77.0.1", true},
		{"10.2.0.2", false},
		{"2001:db8:2::2", false},
		{"198.18.0.1", false},
		{"2001:2::1", false},
	}
	conn, err := b.Host.ListenUDP(lab.SocketOptions{})
	must(t, err)
	defer conn.Close()
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	for i, c := range cases {
		before := b.dropped().Input
		text := fmt.Sprintf("guarded %d", i)
		must(t, sendTo(n1, netip.AddrPortFrom(addr(c.dst), port), text))
		if c.arrives {
			expect(t, conn, text)
		} else {
			eventually(t, "the packet to "+c.dst+" is dropped and counted", func() bool { return b.dropped().Input > before })
		}
	}
	// Nothing of what was counted as dropped is on its way: the next that arrives
	// is this one, and without the guard all do.
	b.withoutGuard()
	for i, c := range cases {
		text := fmt.Sprintf("unguarded %d", i)
		must(t, sendTo(n1, netip.AddrPortFrom(addr(c.dst), port), text))
		expect(t, conn, text)
	}
}

// TestNoSourceOfAnotherUplinkLeaves: an app binds a device that has no address of
// its own in that family, so the kernel takes the other uplink's (RFC 2827, RFC 6418
// 3.3-1).
func TestNoSourceOfAnotherUplinkLeaves(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	must(t, b.Host.DeleteAddress("e2", prefix("2001:db8:2::2/64")))
	must(t, b.Host.AddAddress("lo", prefix("198.18.0.1/32"), prefix("2001:2::1/128"))) // as if mif0 was there
	b.settle()
	b.apply()
	left, err := b.Host.Capture("e2", func(r lab.Record) bool { return r.Out && r.Proto == 17 })
	must(t, err)
	defer left.Close()
	send := func(dst, from string) {
		opt := lab.SocketOptions{Device: "e2"}
		if from != "" {
			opt.Source = netip.AddrPortFrom(addr(from), 0)
		}
		conn, err := b.Host.DialUDP(netip.AddrPortFrom(addr(dst), 9), opt)
		must(t, err)
		defer conn.Close()
		_, _ = conn.Write([]byte("from e1's address")) // EPERM where it is dropped
	}
	cases := []struct{ dst, from string }{
		{"2001:db8:ff::80", ""},
		{"2001:db8:ff::80", "2001:db8:1::2"},
		{"2001:db8:ff::80", "2001:2::1"},
		{"203.0.113.80", "198.18.0.1"},
	}
	for _, c := range cases {
		before := b.dropped().Output
		send(c.dst, c.from)
		if b.dropped().Output == before {
			t.Errorf("what leaves by e2 for %s from %q is not dropped", c.dst, c.from)
		}
	}
	if got := left.Records(); len(got) > 0 {
		t.Errorf("e2 carried %v", got)
	}
	send("203.0.113.80", "")
	if dropped := b.dropped().Output; dropped != uint64(len(cases)) {
		t.Errorf("%d packets were dropped, want %d: none from e2's own address", dropped, len(cases))
	}
	b.withoutGuard()
	for _, c := range cases {
		send(c.dst, c.from)
	}
	eventually(t, "e2 carries what is from its own address and, without the guard, all others", func() bool {
		return len(left.Records()) == 1+len(cases)
	})
}

// sendTo sends a datagram from a node.
func sendTo(n *lab.Node, dst netip.AddrPort, text string) error {
	conn, err := n.DialUDP(dst, lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(text))
	return err
}

// expect reads the next datagram and wants it to be text.
func expect(t *testing.T, conn *net.UDPConn, text string) {
	t.Helper()
	must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	buf := make([]byte, 1500)
	n, _, err := conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatalf("waiting for %q: %v", text, err)
	}
	if string(buf[:n]) != text {
		t.Fatalf("%q arrived, want %q", buf[:n], text)
	}
}

// TestNothingIsForwardedBetweenUplinks: Docker sets ip_forward, and the host must
// not become a transit for its networks (RFC 6418 3.2-9). The LAN is forwarded
// as before.
func TestNothingIsForwardedBetweenUplinks(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	must(t, b.Host.Forward())
	// Forwarding makes the kernel drop routes and addresses it learned by itself.
	b.settle()
	b.apply()
	n1, n2 := b.Node("n1"), b.Node("n2")
	must(t, n1.AddRoute(lab.Route{To: prefix("10.2.0.1/32"), Via: addr("10.1.0.2"), Dev: "lan"},
		lab.Route{To: prefix("2001:db8:2::1/128"), Via: addr("2001:db8:1::2"), Dev: "lan"}))
	must(t, n2.AddRoute(lab.Route{To: prefix("10.77.0.0/24"), Via: addr("10.2.0.2"), Dev: "lan"}))

	conn, err := n2.ListenUDP(lab.SocketOptions{})
	must(t, err)
	defer conn.Close()
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	for _, dst := range []string{"10.2.0.1", "2001:db8:2::1"} {
		before := b.dropped().Forward
		must(t, sendTo(n1, netip.AddrPortFrom(addr(dst), port), "transit"))
		eventually(t, "the transit packet to "+dst+" is dropped and counted", func() bool { return b.dropped().Forward > before })
	}
	must(t, sendTo(b.lan, netip.AddrPortFrom(addr("10.2.0.1"), port), "from the LAN"))
	expect(t, conn, "from the LAN")
	must(t, sendTo(n2, netip.AddrPortFrom(addr("10.77.0.9"), 9), "to the LAN")) // no drop is counted
	if got := b.dropped().Forward; got != 2 {
		t.Errorf("%d forwarded packets were dropped, want 2", got)
	}
	b.withoutGuard()
	for _, dst := range []string{"10.2.0.1", "2001:db8:2::1"} {
		must(t, sendTo(n1, netip.AddrPortFrom(addr(dst), port), "transit to "+dst))
		expect(t, conn, "transit to "+dst)
	}
}

// TestALANIsNotForwardedPastMif0: somebody has flushed the rules that lead its packets
// into mif0 (there are none here), and nobody on an uplink knows their senders.
func TestALANIsNotForwardedPastMif0(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	must(t, b.Host.Forward())
	b.settle()
	b.set = b.newSet("lan0")
	b.apply()
	left, err := b.Host.Capture("e1", func(r lab.Record) bool { return r.Out && r.Proto == 17 })
	must(t, err)
	defer left.Close()
	all := []string{"10.1.0.1", "2001:db8:1::1"}
	for _, dst := range all {
		before := b.dropped().Forward
		must(t, sendTo(b.lan, netip.AddrPortFrom(addr(dst), 9), "past mif0"))
		eventually(t, "the LAN's packet to "+dst+" is dropped and counted", func() bool { return b.dropped().Forward > before })
	}
	if got := left.Records(); len(got) > 0 {
		t.Errorf("e1 carried %v", got)
	}
	must(t, b.Host.Do(b.set.Remove))
	for _, dst := range all { // the host forwards of itself here
		must(t, sendTo(b.lan, netip.AddrPortFrom(addr(dst), 9), "as before"))
	}
	eventually(t, "without the guard they are forwarded", func() bool { return len(left.Records()) == len(all) })
}

// TestALANDoesNotSpeakForThisHost: it sends from an address that is the host's (the
// kernel looks at that for IPv4 only), to where its packets are forwarded.
func TestALANDoesNotSpeakForThisHost(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	must(t, b.Host.Forward())
	must(t, b.Host.AddAddress("lo", prefix("2001:2::1/128"))) // as if mif0 was there
	must(t, b.lan.AddAddress("eth0", prefix("2001:2::1/128")))
	must(t, b.Host.AddRoute(lab.Route{To: prefix("2001:db8:78::/64"), Dev: "lan0"})) // it does not matter where
	b.settle()
	b.set = b.newSet("lan0")
	b.apply()
	send := func(opt lab.SocketOptions) {
		conn, err := b.lan.DialUDP(netip.MustParseAddrPort("[2001:db8:78::1]:9"), opt)
		must(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte("whose"))
		must(t, err)
	}
	send(lab.SocketOptions{})
	if got := b.dropped().Forward; got != 0 {
		t.Errorf("%d packets from its own address were dropped", got)
	}
	send(lab.SocketOptions{Source: netip.AddrPortFrom(addr("2001:2::1"), 0)})
	eventually(t, "what comes from the host's address is dropped and counted", func() bool { return b.dropped().Forward == 1 })
}

// TestUplinkAnswersARPForItsOwnAddressesOnly asks on e1's link for e2's address.
func TestUplinkAnswersARPForItsOwnAddressesOnly(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	b.apply()
	n1 := b.Node("n1")
	must(t, n1.AddRoute(lab.Route{To: prefix("10.2.0.2/32"), Dev: "lan"})) // asks by ARP
	capture, err := n1.Capture("lan", func(r lab.Record) bool { return !r.Out && r.EtherType == 0x0806 && r.Src == addr("10.2.0.2") })
	must(t, err)
	_ = sendTo(n1, netip.MustParseAddrPort("10.2.0.2:9"), "who has")
	time.Sleep(50 * time.Millisecond) // an answer would be there at once
	if got := capture.Records(); len(got) > 0 {
		t.Errorf("e1 answers for e2's address: %v", got)
	}
	must(t, b.Host.SetSysctl("net/ipv4/conf/e1/arp_ignore", "0"))
	eventually(t, "without arp_ignore it answers", func() bool {
		_ = sendTo(n1, netip.MustParseAddrPort("10.2.0.2:9"), "who has")
		return len(capture.Records()) > 0
	})
	must(t, capture.Close())
}
