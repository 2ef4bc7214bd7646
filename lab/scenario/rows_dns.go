package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"

	"mifvif/lab"
)

// dnsRows are RFC 6418 4.1, and what of 4.0, 5.2 and 6 names decide.
func dnsRows() []Scenario {
	return watched([]Scenario{
		{ID: "4.0-1", Title: "Internet and a company's tunnel at once: its names and addresses there, all others never", Layout: lab.WithTunnel, Config: corporateZone, Run: splitTunnel},
		{ID: "4.0-2", Title: "an operator's special service is found and reached in its network only", Config: operatorZone, Run: specialService},
		{ID: "4.1-1", Title: "a network's resolver is asked by that network although another one has a route to it", Config: bothZones, Run: resolverByItsNetwork},
		{ID: "4.1-2", Title: "a private name resolves whichever network came first, and the other's resolver never sees it", Config: corporateAtE2, Run: privateName},
		{ID: "4.1-2r", Title: "so do the names of a network's addresses; those of nobody's stay in the host", Config: bothZones, Run: reverseNames},
		{ID: "4.1-3", Title: "of two answers that of the name's own network counts, and without it there is none", Config: corporateAtE1, Run: wrongAnswer},
		{ID: "4.1-4", Title: "1,000 concurrent fetches of two names with one private address reach each its own network", Config: bothZones, Run: overlap},
		{ID: "4.1-5", Title: "an address learnt in a network that is gone leads nowhere, and a new question leads to the next", Config: firstE1Config, Run: lostNetwork},
		{ID: "4.1-5n", Title: "what a network denied is asked anew when it is gone (the kernel too)", Layout: secondDetached, Config: firstE1Config, Run: lostDenial},
		{ID: "4.1-6", Title: "what a network's NAT64 makes of addresses is used there only, and carries IPv4 there", Layout: sixOnlyFirst, Config: sixOnlyConfig, Run: synthesised},
		{ID: "4.2-3", Title: "a network's wide route does not capture a flow whose answer came from another", Config: firstE1Config, Run: wideRoute},
		{ID: "4.5-3", Title: "two routers on one link have resolvers and zones of their own, asked from their own prefixes", Layout: plainRouters, Config: zonesByRouter, Run: resolverByRouter},
		{ID: "5.2-A", Title: "each name is asked where it is known, by unmodified tools", Config: bothZones, Run: rightServer},
		{ID: "5.2-B", Title: "answers are kept with their domain, and a command shows whose they are", Config: bothZones, Run: ownCaches},
		{ID: "6-3", Title: "one network's answer never leads into another network's own addresses", Config: firstE1Config, Run: rebinding},
	})
}

const (
	corporateZone = `
pvds:
  - {name: corp, interface: e4, internet: false, trusted: true, prefixes: [10.9.0.0/16], dns: {servers: [10.8.0.53], zones: [corp.example.com]}}
`
	operatorZone = `
pvds:
  - {name: op, interface: e2, dns: {servers: [10.2.0.53], zones: [op.example.com]}}
`
	corporateAtE1 = `
pvds:
  - {name: n1, interface: e1, dns: {servers: [10.1.0.53], zones: [corp.example.com]}}
  - {name: n2, interface: e2, dns: {servers: [10.2.0.53]}}
`
	corporateAtE2 = `
pvds:
  - {name: n1, interface: e1, dns: {servers: [10.1.0.53]}}
  - {name: n2, interface: e2, dns: {servers: [10.2.0.53], zones: [corp.example.com]}}
`
	bothZones = `
pvds:
  - {name: n1, interface: e1, dns: {servers: [10.1.0.53], zones: [n1.example.com]}}
  - {name: n2, interface: e2, dns: {servers: [10.2.0.53], zones: [n2.example.com]}}
`
	firstE1Config = `
pvds:
  - {name: n1, interface: e1, dns: {servers: [10.1.0.53]}}
  - {name: n2, interface: e2, dns: {servers: [10.2.0.53], zones: [n2.example.com]}}
rules:
  - {name: first, prefer: [n1, n2]}
`
)

func splitTunnel(ctx context.Context, e *Env) error {
	if err := e.AddRecords("vpn", fmt.Sprintf("srv.corp.example.com. A %v", lab.Behind())); err != nil {
		return err
	}
	inTunnel, err := e.Host.Capture("e4", toward(lab.Public4(), lab.Public6()))
	if err != nil {
		return err
	}
	var outside []*lab.Capture
	for _, link := range []string{"e1", "e2"} {
		c, err := e.Host.Capture(link, func(r lab.Record) bool { return e.Network("vpn").Owns(r.Dst) })
		if err != nil {
			return err
		}
		outside = append(outside, c)
	}
	for range 5 {
		if err := errors.Join(e.Fetch(ctx, "srv.corp.example.com", "vpn"), e.FetchUDP(ctx, "srv.corp.example.com", "vpn")); err != nil {
			return err
		}
		addr, err := e.Address(ctx, "www.example.net")
		if err != nil {
			return err
		}
		t, err := e.Ask(ctx, netip.AddrPortFrom(addr, lab.PortEcho), lab.SocketOptions{})
		if err != nil {
			return err
		}
		if t.Network != "n1" && t.Network != "n2" {
			return fmt.Errorf("www.example.net was reached by %q", t.Network)
		}
	}
	if m, err := e.Resolve(ctx, "no.corp.example.com", dns.TypeA); err != nil || m.Rcode != dns.RcodeNameError {
		return fmt.Errorf("a company's name that is none: %v, %w", m, err)
	}
	for _, c := range outside {
		if err := nothing(c, "packets for the company were seen outside of its tunnel"); err != nil {
			return err
		}
	}
	return steps(
		func() error { return nothing(inTunnel, "public packets were seen in the tunnel") },
		func() error { return e.OnlyAsked("corp.example.com.", "vpn") },
		func() error { return e.neverAsked("vpn", "example.net.") },
	)
}

// neverAsked returns an error if a network's resolver was asked about names with
// the suffix.
func (e *Env) neverAsked(network, suffix string) error {
	for _, q := range e.Resolvers[network].Log.Queries() {
		if strings.HasSuffix(strings.ToLower(q.Name), suffix) {
			return fmt.Errorf("the resolver of %s was asked %v", network, q)
		}
	}
	return nil
}

func specialService(ctx context.Context, e *Env) error {
	if err := e.AddRecords("n2", "svc.op.example.com. A 10.2.0.80", "svc2.op.example.com. A 192.168.50.80"); err != nil {
		return err
	}
	elsewhere, err := e.Host.Capture("e1", toward(netip.MustParseAddr("10.2.0.80"), lab.Overlap()))
	if err != nil {
		return err
	}
	for range 5 {
		for _, name := range []string{"svc.op.example.com", "svc2.op.example.com"} {
			if err := errors.Join(e.Fetch(ctx, name, "n2"), e.FetchUDP(ctx, name, "n2")); err != nil {
				return err
			}
		}
	}
	return steps(
		func() error { return nothing(elsewhere, "packets for the service left by the other network") },
		func() error { return e.OnlyAsked("op.example.com.", "n2") },
	)
}

func resolverByItsNetwork(ctx context.Context, e *Env) error {
	s1 := e.Network("n1").Resolver4()
	ghost := lab.Route{To: netip.PrefixFrom(s1, 32), Via: e.Network("n2").Gateway4(), Dev: "e2", Protocol: 16}
	if err := e.Host.AddRoute(ghost); err != nil {
		return err
	}
	wrong, err := e.Host.Capture("e2", toward(s1))
	if err != nil {
		return err
	}
	for i := range 10 {
		if err := e.Fetch(ctx, "own.n1.example.com", "n1"); err != nil {
			return err
		}
		_, err := e.Resolve(ctx, fmt.Sprintf("no%d.n1.example.com", i), dns.TypeA)
		if err != nil {
			return err
		}
	}
	return steps(
		func() error { return nothing(wrong, "packets for n1's resolver left by n2") },
		func() error { return e.OnlyAsked("n1.example.com.", "n1") },
	)
}

func privateName(ctx context.Context, e *Env) error {
	const name = "srv.corp.example.com"
	if err := e.AddRecords("n2", name+". A 10.2.0.80"); err != nil {
		return err
	}
	for _, first := range []string{"n1", "n2", "n1"} {
		second := map[string]string{"n1": "n2", "n2": "n1"}[first]
		if err := errors.Join(e.Detach("n1"), e.Detach("n2"), e.Attach(first)); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		if err := e.Attach(second); err != nil {
			return err
		}
		if err := within(ctx, func() error { return e.Fetch(ctx, name, "n2") }); err != nil {
			return fmt.Errorf("%s attached first: %w", first, err)
		}
		if err := e.FetchUDP(ctx, name, "n2"); err != nil {
			return err
		}
	}
	return e.OnlyAsked("corp.example.com.", "n2")
}

func reverseNames(ctx context.Context, e *Env) error {
	if err := e.AddRecords("n1", "80.0.1.10.in-addr.arpa. PTR own.n1.example.com."); err != nil {
		return err
	}
	out, err := e.Tool(ctx, "dig", "+short", "-x", "10.1.0.80")
	if err != nil {
		return err
	}
	if strings.TrimSpace(out) != "own.n1.example.com." {
		return fmt.Errorf("10.1.0.80 is called %q", out)
	}
	if out, err = e.Tool(ctx, "dig", "-x", "10.9.9.9"); err != nil {
		return err
	}
	if !strings.Contains(out, "NXDOMAIN") {
		return fmt.Errorf("the name of nobody's address: %s", out)
	}
	return steps(
		func() error { return e.OnlyAsked("1.10.in-addr.arpa.", "n1") },
		func() error { return e.OnlyAsked("9.10.in-addr.arpa.", "") },
	)
}

func wrongAnswer(ctx context.Context, e *Env) error {
	const name = "wifi.corp.example.com"
	err := errors.Join(e.AddRecords("n1", name+". A 10.1.0.80"), e.AddRecords("n2", name+". A 203.0.113.80"))
	if err != nil {
		return err
	}
	for range 10 {
		if err := errors.Join(e.Fetch(ctx, name, "n1"), e.FetchUDP(ctx, name, "n1")); err != nil {
			return err
		}
	}
	if err := e.LinkDown("n1"); err != nil {
		return err
	}
	if err := within(ctx, func() error {
		begun := time.Now()
		if addr, err := e.Address(ctx, name); err == nil {
			return fmt.Errorf("without its network %s is %v", name, addr)
		}
		if took := time.Since(begun); took > time.Second {
			return fmt.Errorf("the app hears of it after %v", took)
		}
		return nil
	}); err != nil {
		return err
	}
	return e.OnlyAsked("corp.example.com.", "n1")
}

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

func rightServer(ctx context.Context, e *Env) error {
	for _, network := range []string{"n1", "n2"} {
		name := "own." + network + ".example.com"
		out, err := e.Tool(ctx, "getent", "ahostsv4", name)
		if err != nil {
			return err
		}
		if want := e.Network(network).Own4().Addr().Next(); !strings.HasPrefix(out, strings.TrimSuffix(want.String(), "1")) {
			return fmt.Errorf("getent %s: %q", name, out)
		}
		if err := e.Fetch(ctx, name, network); err != nil {
			return err
		}
	}
	return steps(
		func() error { return e.OnlyAsked("n1.example.com.", "n1") },
		func() error { return e.OnlyAsked("n2.example.com.", "n2") },
	)
}

// ownCaches asks for names of both networks and of the public: each is in the cache
// of the domain that answered and in no other, and is served from there.
func ownCaches(ctx context.Context, e *Env) error {
	for _, network := range []string{"n1", "n2"} {
		name := "own." + network + ".example.com"
		for range 3 {
			if err := e.Fetch(ctx, name, network); err != nil {
				return err
			}
		}
		if n := len(e.Resolvers[network].Log.For(name)); e.Daemon != nil && n != 1 {
			return fmt.Errorf("%s was asked about %s %d times, want once", network, name, n)
		}
		var answer struct {
			PvD, Zone string
			Cached    bool
		}
		if err := e.JSON(ctx, &answer, "resolve", name); err != nil {
			return err
		}
		if answer.PvD != network || !answer.Cached || answer.Zone != network+".example.com" {
			return fmt.Errorf("mifvif resolve %s: %+v", name, answer)
		}
	}
	var kept []struct{ PvD, Name string }
	if err := e.JSON(ctx, &kept, "resolve", "--cache"); err != nil {
		return err
	}
	found := 0
	for _, k := range kept {
		if owner, ok := strings.CutSuffix(strings.TrimPrefix(k.Name, "own."), ".example.com"); ok {
			if found++; owner != k.PvD {
				return fmt.Errorf("%s is in the cache of %s", k.Name, k.PvD)
			}
		}
	}
	if found != 2 {
		return fmt.Errorf("the caches hold %v", kept)
	}
	return nil
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

func plainRouters() lab.Layout { return lab.TwoRouters(nil) }

// zonesByRouter names the domains of two routers that name none, with a zone each;
// their resolvers are those they advertise.
const zonesByRouter = `
pvds:
  - {name: alpha, interface: e3, next_hops: ["fe80::3"], dns: {zones: [r3a.example.com]}}
  - {name: beta, interface: e3, next_hops: ["fe80::4"], dns: {zones: [r3b.example.com]}}
`

func resolverByRouter(ctx context.Context, e *Env) error {
	if _, err := e.parted(ctx, "alpha", "beta"); err != nil {
		return err
	}
	for range 5 {
		for _, n := range e.routers() {
			name := "own." + n.Name + ".example.com"
			own := netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::80", n.Number))
			if err := within(ctx, func() error { return e.reaches6(ctx, name, own, n.Name) }); err != nil {
				return err
			}
			if _, err := e.Resolve(ctx, fmt.Sprintf("no%d.%s.example.com", time.Now().UnixNano(), n.Name), dns.TypeAAAA); err != nil {
				return err
			}
		}
	}
	for _, n := range e.routers() {
		if err := e.OnlyAsked(n.Name+".example.com.", n.Name); err != nil {
			return err
		}
	}
	return nil
}

// localAtE1 marks n1's link as the one that names below local belong to.
const localAtE1 = `
pvds:
  - {name: n1, interface: e1, dns: {zones: [local]}}
`

// neighbours has a neighbour in n1 answer by multicast DNS: it is asked on n1's link
// and on no other, and no resolver ever is.
func neighbours(ctx context.Context, e *Env) error {
	conn, err := e.Node("n1").ListenUDP(lab.SocketOptions{Source: netip.MustParseAddrPort("0.0.0.0:5353")})
	if err != nil {
		return err
	}
	defer conn.Close()
	index, err := e.Node("n1").LinkIndex("lan")
	if err != nil {
		return err
	}
	err = ipv4.NewPacketConn(conn).JoinGroup(&net.Interface{Index: index}, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251)})
	if err != nil {
		return err
	}
	go answerNeighbours(conn)
	elsewhere, err := e.Host.Capture("e2", ports(5353, 5355))
	if err != nil {
		return err
	}
	if err := errors.Join(e.Fetch(ctx, "printer.local", "n1"), e.FetchUDP(ctx, "printer.local", "n1")); err != nil {
		return err
	}
	if m, err := e.Resolve(ctx, "nobody.local", dns.TypeA); err != nil || m.Rcode != dns.RcodeNameError {
		return fmt.Errorf("a neighbour that is none: %v, %w", m, err)
	}
	return steps(
		func() error { return nothing(elsewhere, "a neighbour's name was asked about on another link") },
		func() error { return e.OnlyAsked("local.", "") },
	)
}

// answerNeighbours answers for printer.local until the socket is closed.
func answerNeighbours(conn net.PacketConn) {
	b := make([]byte, 2000)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		q := new(dns.Msg)
		if q.Unpack(b[:n]) != nil || len(q.Question) != 1 || q.Question[0].Name != "printer.local." || q.Question[0].Qtype != dns.TypeA {
			continue
		}
		m := new(dns.Msg).SetReply(q)
		m.Authoritative = true
		m.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: "printer.local.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 10}, A: net.IPv4(10, 1, 0, 80),
		}}
		if out, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(out, from)
		}
	}
}
