package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// dhcpRows are RFC 6418 3.2, 4.2 and 5.1 where networks say by DHCP what they are:
// every network's configuration is kept, by itself, with who said it.
func dhcpRows() []Scenario {
	return []Scenario{
		{ID: "3.2-5", Title: "every resolver, route and time server is known with its origin", Layout: described, Run: originsKnown},
		{ID: "4.2-1", Title: "a server that only n2 announces is reached by n2, although n1 is the default", Layout: routeOfN2, Config: trustedBoth, Run: onlyInN2},
		{ID: "4.2-5", Title: "of two networks that announce one route the policy chooses, and explain names the loser", Layout: announcedTwice, Config: chosenRoute, Run: policyChooses},
		{ID: "5.1-A", Title: "resolvers, time servers, search lists and portals are held by domain", Layout: described, Run: heldByDomain},
		{ID: "5.1-B", Title: "a renewed lease changes its own domain and no other", Layout: leasedFirst, Config: leasing, Prepare: leaseFirst, Run: renewalStaysAtHome},
	}
}

// described has both networks say by DHCP who they are.
func described() lab.Layout {
	l := lab.TwoNetworks()
	for i := range l.Networks {
		n := &l.Networks[i]
		n.DHCP = &lab.DHCP{Options: []string{
			fmt.Sprintf("6,%v", n.Resolver4()), fmt.Sprintf("42,10.%d.0.123", n.Number), "119,search." + n.Name + ".example.com",
			fmt.Sprintf("114,https://portal.%s.example.com/api", n.Name), fmt.Sprintf("121,0.0.0.0/0,%v,10.6%d.0.0/24,%v", n.Gateway4(), n.Number, n.Gateway4()),
		}}
	}
	return l
}

// objects returns what a domain holds, as "kind value origin".
func (e *Env) objects(ctx context.Context, name string) ([]string, error) {
	all, err := e.domains(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, o := range all[name].Objects {
		out = append(out, o.Kind+" "+o.Value+" "+o.Origin)
	}
	return out, nil
}

// holds waits until a domain has all the given objects.
func (e *Env) holds(ctx context.Context, domain string, want ...string) error {
	return within(ctx, func() error {
		have, err := e.objects(ctx, domain)
		if err != nil {
			return err
		}
		for _, w := range want {
			if !slices.Contains(have, w) {
				return fmt.Errorf("%s lacks %q in\n  %s", domain, w, strings.Join(have, "\n  "))
			}
		}
		return nil
	})
}

// hasNone returns an error if an object of a domain has any of the given texts in it.
func (e *Env) hasNone(ctx context.Context, domain string, texts ...string) error {
	have, err := e.objects(ctx, domain)
	if err != nil {
		return err
	}
	for _, o := range have {
		for _, text := range texts {
			if strings.Contains(o, text) {
				return fmt.Errorf("%s holds %q", domain, o)
			}
		}
	}
	return nil
}

func originsKnown(ctx context.Context, e *Env) error {
	return steps(
		func() error {
			return e.holds(ctx, "e1", "resolver 10.1.0.53:53 dhcp4", "route 10.61.0.0/24 by 10.1.0.1 dhcp4", "ntp 10.1.0.123 dhcp4",
				"address 10.1.0.2/24 kernel", "next_hop 10.1.0.1 dhcp4")
		},
		func() error {
			return e.holds(ctx, "e2", "resolver 10.2.0.53:53 dhcp4", "route 10.62.0.0/24 by 10.2.0.1 dhcp4")
		},
	)
}

func heldByDomain(ctx context.Context, e *Env) error {
	for _, n := range e.Layout.Networks {
		if err := e.holds(ctx, n.Link, fmt.Sprintf("ntp 10.%d.0.123 dhcp4", n.Number), "search search."+n.Name+".example.com dhcp4",
			"portal https://portal."+n.Name+".example.com/api dhcp4", fmt.Sprintf("resolver %v:53 dhcp4", n.Resolver4())); err != nil {
			return err
		}
	}
	return steps(
		func() error { return e.hasNone(ctx, "e1", "10.2.0.", "n2.example.com") },
		func() error { return e.hasNone(ctx, "e2", "10.1.0.", "n1.example.com") },
	)
}

// trustedBoth believes what both networks say of others, and prefers n1.
const trustedBoth = `
pvds:
  - {name: n1, interface: e1, trusted: true}
  - {name: n2, interface: e2, trusted: true}
rules:
  - {name: first-n1, prefer: [n1]}
`

// routeOfN2 has a server in n2 that only n2's DHCP server tells of.
func routeOfN2() lab.Layout {
	l := lab.TwoNetworks()
	l.Networks[1].DHCP = &lab.DHCP{Options: []string{"121,0.0.0.0/0,10.2.0.1,10.66.0.0/24,10.2.0.1"}}
	return l
}

func insideN2() netip.Addr { return netip.MustParseAddr("10.66.0.80") }

func onlyInN2(ctx context.Context, e *Env) error {
	if err := e.Node("n2").AddAddress("lan", netip.PrefixFrom(insideN2(), 32)); err != nil {
		return err
	}
	if err := within(ctx, func() error { return e.reaches(ctx, netip.AddrPortFrom(insideN2(), lab.PortEcho), "n2") }); err != nil {
		return err
	}
	return e.reaches(ctx, public4(lab.PortEcho), "n1")
}

// reaches talks to an echo peer and wants it to see the given network.
func (e *Env) reaches(ctx context.Context, dst netip.AddrPort, network string) error {
	t, err := e.Ask(ctx, dst, lab.SocketOptions{})
	if err != nil {
		return err
	}
	if t.Network != network {
		return fmt.Errorf("%v was reached by %s, want %s", dst, t.Network, network)
	}
	return nil
}

// announcedTwice has both networks announce the same route.
func announcedTwice() lab.Layout {
	l := lab.TwoNetworks()
	for i := range l.Networks {
		n := &l.Networks[i]
		n.DHCP = &lab.DHCP{Options: []string{fmt.Sprintf("121,0.0.0.0/0,%v,10.88.0.0/16,%v", n.Gateway4(), n.Gateway4())}}
	}
	return l
}

// chosenRoute prefers n2 for what both announce, n1 for the rest.
const chosenRoute = `
pvds:
  - {name: n1, interface: e1, trusted: true}
  - {name: n2, interface: e2, trusted: true}
rules:
  - {name: theirs, match: {dst: [10.88.0.0/16]}, prefer: [n2, n1]}
  - {name: rest, prefer: [n1]}
`

func claimedTwice() netip.Addr { return netip.MustParseAddr("10.88.0.80") }

func policyChooses(ctx context.Context, e *Env) error {
	for _, n := range []string{"n1", "n2"} {
		if err := e.Node(n).AddAddress("lan", netip.PrefixFrom(claimedTwice(), 32)); err != nil {
			return err
		}
	}
	for range 10 {
		if err := within(ctx, func() error { return e.reaches(ctx, netip.AddrPortFrom(claimedTwice(), lab.PortEcho), "n2") }); err != nil {
			return err
		}
	}
	var answer struct {
		Decision   struct{ PvD, Rule string }
		Candidates []struct{ PvD, Verdict, Reason string }
	}
	if err := e.JSON(ctx, &answer, "explain", claimedTwice().String()); err != nil {
		return err
	}
	if answer.Decision.PvD != "n2" || answer.Decision.Rule != "theirs" {
		return fmt.Errorf("explain decides %+v", answer.Decision)
	}
	for _, c := range answer.Candidates {
		if c.PvD == "n1" && c.Verdict != "chosen" && c.Reason != "" {
			return nil
		}
	}
	return fmt.Errorf("explain does not name the loser: %+v", answer.Candidates)
}

// leasedFirst leaves e1 to mifvif's own DHCP client.
func leasedFirst() lab.Layout {
	l := lab.TwoNetworks()
	l.Networks[0].Detached = true
	l.Networks[1].DHCP = &lab.DHCP{Options: []string{"6,10.2.0.53", "42,10.2.0.123"}}
	return l
}

const leasing = `
pvds:
  - {name: n1, interface: e1, dhcp: client}
  - {name: n2, interface: e2}
`

// lease is a lease of 30 seconds, to be renewed after two, with a resolver and a
// time server.
func lease(resolver, ntp byte) serve.DHCPAnswers {
	return serve.DHCPAnswers{Lease: netip.MustParseAddr("10.1.0.2"), Options: []byte{
		51, 4, 0, 0, 0, 30, 58, 4, 0, 0, 0, 2, 59, 4, 0, 0, 0, 20, 1, 4, 255, 255, 255, 0, 3, 4, 10, 1, 0, 1,
		6, 4, 10, 1, 0, resolver, 42, 4, 10, 1, 0, ntp,
	}}
}

// leaseFirst starts n1's server before the client asks.
func leaseFirst(e *Env) (err error) {
	e.lessor, err = e.AnswerDHCP("n1", lease(53, 123))
	return err
}

func renewalStaysAtHome(ctx context.Context, e *Env) error {
	if err := e.holds(ctx, "n1", "address 10.1.0.2/24 dhcp4", "next_hop 10.1.0.1 dhcp4", "resolver 10.1.0.53:53 dhcp4", "ntp 10.1.0.123 dhcp4"); err != nil {
		return err
	}
	if err := e.holds(ctx, "n2", "resolver 10.2.0.53:53 dhcp4", "ntp 10.2.0.123 dhcp4"); err != nil {
		return err
	}
	before, err := e.objects(ctx, "n2")
	if err != nil {
		return err
	}
	next := lease(54, 124)
	next.Server = e.Network("n1").Gateway4()
	e.lessor.Set(next)
	if err := e.holds(ctx, "n1", "resolver 10.1.0.54:53 dhcp4", "ntp 10.1.0.124 dhcp4"); err != nil {
		return err
	}
	if err := e.hasNone(ctx, "n1", "10.1.0.53", "10.1.0.123"); err != nil {
		return err
	}
	after, err := e.objects(ctx, "n2")
	if err != nil || !slices.Equal(before, after) {
		return fmt.Errorf("the renewal on e1 changed n2 from %q to %q: %w", before, after, err)
	}
	resolv, err := e.Host.ReadFile("/etc/resolv.conf")
	if err != nil || !strings.Contains(string(resolv), "198.18.0.2") || strings.Contains(string(resolv), "\nnameserver 10.") {
		return fmt.Errorf("resolv.conf is %q: %w", resolv, err)
	}
	return e.reaches(ctx, netip.AddrPortFrom(netip.MustParseAddr("10.1.0.80"), lab.PortEcho), "n1")
}
