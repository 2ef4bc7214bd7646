package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mifvif/lab"
)

func overlap(ctx context.Context, e *Env) error {
	const fetches, workers = 1000, 50
	work := make(chan string, fetches)
	for i := range fetches {
		work <- []string{"n1", "n2"}[i%2]
	}
	close(work)
	failures := make(chan error, fetches)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for network := range work {
				name := "shared." + network + ".example.com"
				if err := e.Fetch(ctx, name, network); err != nil {
					failures <- err
				} else if err := e.FetchUDP(ctx, name, network); err != nil {
					failures <- err
				}
			}
		})
	}
	all.Wait()
	if n := len(failures); n > 0 {
		return fmt.Errorf("%d of %d fetches failed, the first: %w", n, fetches, <-failures)
	}
	return e.aliasHasName(ctx)
}

// aliasHasName looks up the names of the addresses that the two names have.
func (e *Env) aliasHasName(ctx context.Context) error {
	for _, network := range []string{"n1", "n2"} {
		name := "shared." + network + ".example.com"
		addr, err := e.Address(ctx, name)
		if err != nil {
			return err
		}
		if _, err := e.Tool(ctx, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "3", addr.String()); err != nil {
			return err
		}
		if addr == lab.Overlap() {
			continue
		}
		out, err := e.Tool(ctx, "dig", "+short", "-x", addr.String())
		if err != nil {
			return err
		}
		if strings.TrimSpace(out) != name+"." {
			return fmt.Errorf("%v, which %s was given, is called %q", addr, name, out)
		}
	}
	return e.OnlyAsked("shared.n1.example.com.", "n1")
}

func lostNetwork(ctx context.Context, e *Env) error {
	const name = "app.example.org"
	err := errors.Join(e.AddRecords("n1", name+". A 192.168.50.80"), e.AddRecords("n2", name+". A 10.2.0.80"))
	if err != nil {
		return err
	}
	addr, err := e.Address(ctx, name)
	if err != nil {
		return err
	}
	if err := e.Fetch(ctx, name, "n1"); err != nil {
		return err
	}
	wrong, err := e.Host.Capture("e2", toward(addr))
	if err != nil {
		return err
	}
	if err := e.LinkDown("n1"); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	begun := time.Now()
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if t, err := e.Ask(short, netip.AddrPortFrom(addr, lab.PortEcho), lab.SocketOptions{}); err == nil {
		return fmt.Errorf("%v of n1 was reached by %q", addr, t.Network)
	}
	if took := time.Since(begun); took > time.Second {
		return fmt.Errorf("the app hears after %v that its address is gone", took)
	}
	if err := within(ctx, func() error { return e.Fetch(ctx, name, "n2") }); err != nil {
		return fmt.Errorf("asked anew: %w", err)
	}
	return nothing(wrong, "packets for n1's address left by n2")
}

// secondDetached has n1 only at first.
func secondDetached() lab.Layout {
	l := lab.TwoNetworks()
	l.Networks[1].Detached = true
	return l
}

func lostDenial(ctx context.Context, e *Env) error {
	const name = "late.example.org"
	err := errors.Join(
		e.AddRecords("n1", "example.org. 3600 SOA ns.example.org. admin.example.org. 1 3600 600 86400 3600"),
		e.AddRecords("n2", name+". A 10.2.0.80"))
	if err != nil {
		return err
	}
	for range 3 {
		m, err := e.Resolve(ctx, name, dns.TypeA)
		if err != nil || m.Rcode != dns.RcodeNameError {
			return fmt.Errorf("n1 denies the name, the app hears %v, %w", m, err)
		}
	}
	if e.Daemon != nil && len(e.Resolvers["n1"].Log.For(name)) != 1 {
		return errors.New("a denial was not kept although its SOA says so")
	}
	if err := errors.Join(e.Attach("n2"), e.LinkDown("n1")); err != nil {
		return err
	}
	if e.Daemon == nil { // the kernel's host is told of the new network's resolver
		if err := e.Host.WriteFile("/etc/resolv.conf", []byte("nameserver 10.2.0.53\n")); err != nil {
			return err
		}
	}
	return within(ctx, func() error { return e.Fetch(ctx, name, "n2") })
}

func wideRoute(ctx context.Context, e *Env) error {
	inner := netip.MustParseAddr("10.77.0.80")
	err := errors.Join(
		e.Host.AddRoute(lab.Route{To: netip.MustParsePrefix("10.0.0.0/8"), Via: e.Network("n1").Gateway4(), Dev: "e1", Protocol: 16}),
		e.Node("n2").AddAddress("lan", netip.PrefixFrom(inner, 32)),
		e.AddRecords("n2", fmt.Sprintf("app.n2.example.com. A %v", inner)))
	if err != nil {
		return err
	}
	if err := e.ServeUDP(e.Node("n2"), netip.AddrPortFrom(inner, lab.PortEcho), func(netip.Addr) string { return "n2" }); err != nil {
		return err
	}
	wrong, err := e.Host.Capture("e1", toward(inner))
	if err != nil {
		return err
	}
	for range 10 {
		if err := errors.Join(e.Fetch(ctx, "app.n2.example.com", "n2"), e.FetchUDP(ctx, "app.n2.example.com", "n2")); err != nil {
			return err
		}
	}
	return nothing(wrong, "packets for n2's server were captured by n1's route")
}

func rebinding(ctx context.Context, e *Env) error {
	n2 := e.Network("n2")
	own := n2.Own4().Addr().Next() // 10.2.0.1 lies on n2's link
	if err := e.AddRecords("n1", fmt.Sprintf("evil.example.org. A %v\nevil6.example.org. AAAA 2001:db8:2::80", own)); err != nil {
		return err
	}
	wrong, err := e.Host.Capture("e2", func(r lab.Record) bool { return r.Out && r.DstPort == lab.PortEcho })
	if err != nil {
		return err
	}
	for range 3 {
		addr, err := e.Address(ctx, "evil.example.org")
		if err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		// Whether anybody answers is n1's affair, which may route it through the core.
		if t, err := e.Ask(short, netip.AddrPortFrom(addr, lab.PortEcho), lab.SocketOptions{}); err == nil && t.Source.Addr() == n2.Host4() {
			cancel()
			return errors.New("n1's answer led into n2")
		}
		cancel()
	}
	if e.Daemon != nil { // an app that checks signatures gets addresses as they are, or none
		out, err := e.Tool(ctx, "dig", "+dnssec", "evil6.example.org", "AAAA")
		if err != nil {
			return err
		}
		if !strings.Contains(out, "SERVFAIL") {
			return fmt.Errorf("an app that checks signatures was told: %s", out)
		}
	}
	return nothing(wrong, "packets to n2's own address, which n1's answer named, left by n2")
}
