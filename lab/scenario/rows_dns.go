package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

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
