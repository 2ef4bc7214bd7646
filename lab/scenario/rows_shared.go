package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mifvif/lab"
	"mifvif/lab/nd"
)

// sharedRows are RFC 6418 4.5 and what else takes two routers on one link.
func sharedRows() []Scenario {
	return []Scenario{
		{ID: "4.5-1", Title: "two routers on one link are two domains, one explicit and one not, used at the same moment", Layout: oneNamed, Config: byRouter, Run: twoDomains},
		{ID: "4.5-2", Title: "every packet goes to the router that advertised its source's prefix, whoever chose the source", Layout: oneNamed, Config: byRouter, Run: rightRouters},
	}
}

// The ports that rules send to one router of the shared link, by whatever name
// its domain has.
const (
	onlyR3a, onlyR3b, firstR3a uint16 = 7005, 7006, 7007
)

// byRouter is for oneNamed: r3b makes the link's implicit domain.
const byRouter = `
rules:
  - {name: by-r3a, match: {port: [7005]}, require: [a.example.org]}
  - {name: by-r3b, match: {port: [7006]}, require: [e3]}
  - {name: first-r3a, match: {port: [7007]}, prefer: [a.example.org, e3]}
`

// byNextHop names the domains of two routers that name none.
const byNextHop = `
pvds:
  - {name: alpha, interface: e3, next_hops: ["fe80::3"]}
  - {name: beta, interface: e3, next_hops: ["fe80::4"]}
rules:
  - {name: by-r3a, match: {port: [7005]}, require: [alpha]}
  - {name: by-r3b, match: {port: [7006]}, require: [beta]}
  - {name: first-r3a, match: {port: [7007]}, prefer: [alpha, beta]}
`

// oneNamed has r3a name its domain and r3b not.
func oneNamed() lab.Layout { return lab.TwoRouters(namesItself) }

func namesItself(n lab.Network) nd.RA {
	ra := n.PlainAdvert()
	if n.Name == "r3a" {
		ra = ra.With(nd.PvD{ID: "a.example.org"}.Option())
	}
	return ra
}

// secondPreferred has r3b, which names no domain as r3a, say that it is the better
// router: its preference must not count for sources of r3a (RFC 8028 3.1).
func secondPreferred() lab.Layout { return lab.TwoRouters(preferring("r3b", nd.High)) }

func twoDomains(ctx context.Context, e *Env) error {
	if _, err := e.parted(ctx, "a.example.org", "e3"); err != nil {
		return err
	}
	all, err := e.domains(ctx)
	if err != nil {
		return err
	}
	if named, other := all["a.example.org"], all["e3"]; !named.Explicit || named.ID != named.Name || other.Explicit || other.ID != "" {
		return fmt.Errorf("only the first of these is explicit: %+v, %+v", named, other)
	}
	var open []*Talk
	defer func() { closeAll(open) }()
	for port, network := range map[uint16]string{onlyR3a: "r3a", onlyR3b: "r3b"} {
		talks, err := e.talks(ctx, 20, network, public6(port))
		if err != nil {
			return err
		}
		open = append(open, talks...)
	}
	for _, t := range open { // all at the same time
		if err := t.Say(); err != nil {
			return err
		}
	}
	return nil
}

// rightRouter sends by both routers, whose domains have these names: apps that
// choose their source address themselves, and flows whose source mifvif chooses.
func rightRouter(names ...string) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) error {
		sources, hops, err := e.observed(ctx, names...)
		if err != nil {
			return err
		}
		for range 10 {
			if err := e.carriedFrom(ctx, sources); err != nil {
				return errors.Join(err, hops.verdict(1))
			}
		}
		for range 50 {
			for port, network := range map[uint16]string{onlyR3a: "r3a", onlyR3b: "r3b"} {
				if err := e.Carried(ctx, network, public6(port), lab.SocketOptions{}); err != nil {
					return err
				}
			}
		}
		return hops.verdict(300)
	}
}

// carriedFrom sends from each network's source address, as an app bound to it.
func (e *Env) carriedFrom(ctx context.Context, sources map[string]netip.Addr) error {
	for network, src := range sources {
		if err := e.Carried(ctx, network, public6(lab.PortEcho), lab.SocketOptions{Source: netip.AddrPortFrom(src, 0)}); err != nil {
			return fmt.Errorf("an app bound to %v: %w", src, err)
		}
	}
	return nil
}

// rightRouters is rightRouter for two routers of two domains, then of one: r3b begins
// to name the same as r3a.
func rightRouters(ctx context.Context, e *Env) error {
	if err := rightRouter("a.example.org", "e3")(ctx, e); err != nil {
		return err
	}
	r3a, r3b := e.Network("r3a"), e.Network("r3b")
	e.Advertisers["r3b"].Set(r3b.PlainAdvert().With(nd.PvD{ID: "a.example.org"}.Option()))
	sources := make(map[string]netip.Addr)
	for _, n := range e.routers() {
		var err error
		if sources[n.Name], err = e.formed(ctx, n); err != nil {
			return err
		}
	}
	if err := within(ctx, func() error {
		all, err := e.domains(ctx)
		if d := all["a.example.org"]; err == nil && (d.State != "online" || len(d.Sources) != 2 || !slices.Contains(d.NextHops, r3a.Gateway6().String()) || !slices.Contains(d.NextHops, r3b.Gateway6().String())) {
			err = fmt.Errorf("it is not one domain of both routers: %+v", d)
		}
		return err
	}); err != nil {
		return err
	}
	hops, err := e.watchHops()
	if err != nil {
		return err
	}
	for range 10 {
		if err := e.carriedFrom(ctx, sources); err != nil {
			return errors.Join(fmt.Errorf("of one domain: %w", err), hops.verdict(1))
		}
		if _, err := e.Ask(ctx, public6(onlyR3a), lab.SocketOptions{}); err != nil {
			return errors.Join(fmt.Errorf("a flow of one domain: %w", err), hops.verdict(1))
		}
	}
	return hops.verdict(30)
}

// firstHopFollows has the better router of a link go and come back: flows take
// the other one, with its source, and return.
func firstHopFollows(ctx context.Context, e *Env) error {
	_, hops, err := e.observed(ctx, "alpha", "beta")
	if err != nil {
		return err
	}
	r3a, voice := e.Network("r3a"), e.Advertisers["r3a"]
	leaves := r3a.PlainAdvert()
	leaves.Lifetime = 0
	for _, step := range []struct {
		says    nd.RA
		network string
	}{{r3a.PlainAdvert(), "r3a"}, {leaves, "r3b"}, {r3a.PlainAdvert(), "r3a"}} {
		voice.Set(step.says)
		carried := func() error { return e.Carried(ctx, step.network, public6(firstR3a), lab.SocketOptions{}) }
		if err := within(ctx, carried); err != nil {
			return fmt.Errorf("router lifetime %v: %w", step.says.Lifetime, err)
		}
		for range 20 {
			if err := carried(); err != nil {
				return fmt.Errorf("router lifetime %v: %w", step.says.Lifetime, err)
			}
		}
	}
	return hops.verdict(100)
}

// scattered spreads flows to one destination over all domains.
const scattered = `
defaults: {affinity: none}
`

// sourcePerHop sends from every address the host has, then without a choice: no
// edge sees a source that is not its network's (checked by the player), and all
// networks are used.
func sourcePerHop(ctx context.Context, e *Env) error {
	sources, hops, err := e.observed(ctx, "a.example.org", "e3")
	if err != nil {
		return err
	}
	sources["n1"], sources["n2"] = e.Network("n1").Host6(), e.Network("n2").Host6()
	if err := e.carriedFrom(ctx, sources); err != nil {
		return errors.Join(err, hops.verdict(1))
	}
	used := map[string]int{}
	for range 200 {
		t, err := e.Ask(ctx, public6(lab.PortEcho), lab.SocketOptions{})
		if err != nil {
			return err
		}
		if owner := e.NetworkOf(t.Source.Addr()); owner != t.Network {
			return fmt.Errorf("%s carried the source %v of %q", t.Network, t.Source, owner)
		}
		used[t.Network]++
	}
	if len(used) != len(sources) {
		return fmt.Errorf("only %v carried the flows, want all of %d networks", used, len(sources))
	}
	return hops.verdict(20)
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
