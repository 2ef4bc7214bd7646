package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"mifvif/lab"
)

// sixOnlyFirst has n1 without IPv4.
func sixOnlyFirst() lab.Layout {
	l := lab.TwoNetworks()
	l.Networks[0].NoIPv4 = true
	return l
}

const sixOnlyConfig = `
pvds:
  - {name: n1, interface: e1, dns: {servers: ["2001:db8:1::53"]}}
  - {name: n2, interface: e2, dns: {servers: [10.2.0.53]}}
rules:
  - {name: first, prefer: [n1, n2]}
`

// synthesised gives n1 a NAT64 and a resolver that makes addresses for one name.
// The other name has IPv4 addresses only, also for n1's resolver.
func synthesised(ctx context.Context, e *Env) error {
	behind := netip.MustParseAddr("64:ff9b::cb00:7150") // 203.0.113.80
	err := errors.Join(
		e.Node("n1").AddAddress("lan", netip.PrefixFrom(behind, 128)),
		e.AddRecords("n1", "ipv4only.arpa. AAAA 64:ff9b::c000:aa", "made.example.org. AAAA 64:ff9b::cb00:7150", "four.example.org. A 203.0.113.80"),
		e.AddRecords("n2", "made.example.org. A 203.0.113.80", "four.example.org. A 203.0.113.80"),
		e.ServeUDP(e.Node("n1"), netip.AddrPortFrom(behind, lab.PortEcho), func(netip.Addr) string { return "n1" }))
	if err != nil {
		return err
	}
	if e.Daemon != nil { // it may have asked before the records were there
		if err := e.LinkDown("n1"); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		if err := e.LinkUp("n1"); err != nil {
			return err
		}
	}
	elsewhere, err := e.Host.Capture("e2", func(r lab.Record) bool { return netip.MustParsePrefix("64:ff9b::/96").Contains(r.Dst) })
	if err != nil {
		return err
	}
	if err := within(ctx, func() error { return e.reaches6(ctx, "made.example.org", behind, "n1") }); err != nil {
		return err
	}
	if err := within(ctx, func() error { return e.reaches6(ctx, "four.example.org", behind, "n1") }); err != nil {
		return fmt.Errorf("a name with IPv4 addresses only: %w", err)
	}
	for range 3 { // an app that knows IPv4 only, or a literal address
		if err := e.Carried(ctx, "n1", public4(lab.PortEcho), lab.SocketOptions{}); err != nil {
			return fmt.Errorf("IPv4 over a network without: %w", err)
		}
	}
	if err := e.LinkDown("n1"); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := e.Ask(short, netip.AddrPortFrom(behind, lab.PortEcho), lab.SocketOptions{}); err == nil || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("an address that n1 made up, without n1: %w", err)
	}
	if err := within(ctx, func() error { return e.Carried(ctx, "n2", public4(lab.PortEcho), lab.SocketOptions{}) }); err != nil {
		return err
	}
	for _, name := range []string{"made.example.org", "four.example.org"} {
		m, err := e.Resolve(ctx, name, dns.TypeAAAA)
		if err != nil || len(m.Answer) > 0 {
			return fmt.Errorf("without n1 %s has still %v: %w", name, m, err)
		}
		if addr, err := e.Address(ctx, name); err != nil || addr != lab.Public4() {
			return fmt.Errorf("without n1 %s is %v: %w", name, addr, err)
		}
	}
	return nothing(elsewhere, "packets to addresses that n1 made up left by n2")
}

// reaches6 resolves a name to the IPv6 address it must have and reaches it by a
// network, TCP and UDP.
func (e *Env) reaches6(ctx context.Context, name string, want netip.Addr, network string) error {
	m, err := e.Resolve(ctx, name, dns.TypeAAAA)
	if err != nil {
		return err
	}
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.AAAA); ok {
			if addr, _ := netip.AddrFromSlice(a.AAAA); addr != want {
				return fmt.Errorf("%s is %v, want %v", name, addr, want)
			}
			return e.Carried(ctx, network, netip.AddrPortFrom(want, lab.PortEcho), lab.SocketOptions{})
		}
	}
	return fmt.Errorf("%s has no IPv6 address: %s", name, dns.RcodeToString[m.Rcode])
}
