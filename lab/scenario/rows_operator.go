package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"mifvif/lab"
	"mifvif/lab/nd"
)

// operatorRows are rows in which what networks say of themselves decides.
func operatorRows() []Scenario {
	return []Scenario{
		{ID: "3.2-8", Title: "what only one network reaches goes there, or nowhere when it is away; public flows never go there", Layout: lab.WithTunnel, Config: corporate, Run: reachableOnlyThere},
		{ID: "3.7-4", Title: "without a rule the network whose router says that it is the better one gets the flows, and when it says otherwise the other (the kernel too)", Layout: secondBetter, Run: operatorPrefers},
		{ID: "3.9-2", Title: "a network's flows leave from its public address where the policy says so, from the temporary one elsewhere", Layout: bothAdvertise, Config: publicAtE1, Prepare: temporary, Run: publicPreferred},
	}
}

func reachableOnlyThere(ctx context.Context, e *Env) error {
	inner := netip.AddrPortFrom(lab.Behind(), lab.PortEcho)
	public, err := e.Host.Capture("e4", func(r lab.Record) bool { return r.Out && (r.Dst == lab.Public4() || r.Dst == lab.Public6()) })
	if err != nil {
		return err
	}
	stray := make(map[string]*lab.Capture)
	for _, link := range []string{"e1", "e2"} {
		if stray[link], err = e.Host.Capture(link, func(r lab.Record) bool { return r.Out && r.Dst == lab.Behind() }); err != nil {
			return err
		}
	}
	if err := e.Carried(ctx, "vpn", inner, lab.SocketOptions{}); err != nil {
		return err
	}
	for range 50 {
		for _, dst := range bothFamilies(lab.PortEcho) {
			t, err := e.Ask(ctx, dst, lab.SocketOptions{})
			if err != nil {
				return err
			}
			if t.Network == "vpn" {
				return fmt.Errorf("%v was carried by the tunnel", dst)
			}
		}
	}
	if err := e.Detach("vpn"); err != nil {
		return err
	}
	if err := within(ctx, func() error { return e.connectFails(ctx, inner, syscall.ENETUNREACH) }); err != nil {
		return err
	}
	for link, c := range stray {
		if err := nothing(c, "what is behind the tunnel was looked for by "+link); err != nil {
			return err
		}
	}
	return nothing(public, "public flows went into the tunnel")
}

// secondBetter has both networks advertise, and n2 say that it is the better one.
func secondBetter() lab.Layout { return advertised(preferring("n2", nd.High)) }

// preferring has the router of one network say how much it is to be preferred
// (RFC 4191 2.1).
func preferring(network string, preference uint8) func(lab.Network) nd.RA {
	return func(n lab.Network) nd.RA {
		ra := n.PlainAdvert()
		if n.Name == network {
			ra.Preference = preference
		}
		return ra
	}
}

func bothAdvertise() lab.Layout { return advertised(lab.Network.PlainAdvert) }

// advertised is TwoNetworks with IPv6 by router advertisements alone.
func advertised(advert func(lab.Network) nd.RA) lab.Layout {
	l := lab.TwoNetworks()
	for i := range l.Networks {
		l.Networks[i].Advert, l.Networks[i].NoIPv4 = advert, true
	}
	return l
}

func operatorPrefers(ctx context.Context, e *Env) error {
	if err := within(ctx, func() error { return e.all(ctx, 20, "n2", public6(lab.PortEcho), lab.SocketOptions{}) }); err != nil {
		return err
	}
	for name, preference := range map[string]uint8{"n1": nd.Medium, "n2": nd.Low} {
		ra := e.Network(name).PlainAdvert()
		ra.Preference = preference
		e.Advertisers[name].Set(ra)
	}
	if err := within(ctx, func() error { return e.all(ctx, 20, "n1", public6(lab.PortEcho), lab.SocketOptions{}) }); err != nil || e.Daemon == nil {
		return err
	}
	x, err := e.explain(ctx, lab.Public6().String())
	if err == nil && !slices.ContainsFunc(x.Rules, func(r rule) bool { return r == rule{"router preference of e2", "operator", "avoid"} }) {
		err = fmt.Errorf("explained by %v, and not by the operator of n2", x.Rules)
	}
	return err
}

const publicAtE1 = `
pvds:
  - {name: e1, interface: e1, prefer_public: true}
rules:
  - {name: by-e1, match: {port: [7001]}, require: [e1]}
  - {name: by-e2, match: {port: [7002]}, require: [e2]}
`

// temporary has the host form temporary addresses (RFC 8981) and prefer them.
func temporary(e *Env) error {
	for _, n := range e.Layout.Networks {
		if err := e.Host.SetSysctl("net/ipv6/conf/"+n.Link+"/use_tempaddr", "2"); err != nil {
			return err
		}
		e.Advertisers[n.Name].Set(n.PlainAdvert())
	}
	return nil
}

func publicPreferred(ctx context.Context, e *Env) error {
	for _, w := range []struct {
		network   string
		port      uint16
		temporary bool
	}{{"n1", onlyE1, false}, {"n2", onlyE2, true}} {
		err := within(ctx, func() error {
			all, err := e.Host.Addresses(e.Network(w.network).Link)
			if err != nil {
				return err
			}
			t, err := e.Ask(ctx, public6(w.port), lab.SocketOptions{})
			if err != nil {
				return err
			}
			public, err := formedFromMAC(e, w.network)
			if err != nil {
				return err
			}
			if len(all) < 3 { // link-local, public, temporary
				return fmt.Errorf("the host has only %v", all)
			}
			if t.Network != w.network || !slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Addr() == t.Source.Addr() }) {
				return fmt.Errorf("carried by %s from %v", t.Network, t.Source)
			}
			if (t.Source.Addr() != public) != w.temporary {
				return fmt.Errorf("%s was reached from %v, the public address is %v; temporary wanted: %v", w.network, t.Source, public, w.temporary)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// formedFromMAC returns the host's address in a network that is not temporary: its
// interface identifier is that of the link-local address.
func formedFromMAC(e *Env, network string) (netip.Addr, error) {
	n := e.Network(network)
	all, err := e.Host.Addresses(n.Link)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, local := range all {
		if !local.Addr().IsLinkLocalUnicast() {
			continue
		}
		a, b := n.Link6().Addr().As16(), local.Addr().As16()
		copy(a[8:], b[8:])
		return netip.AddrFrom16(a), nil
	}
	return netip.Addr{}, errors.New("the host has no link-local address on " + n.Link)
}

// sharedLink names the two domains of a shared link; nobody prefers any.
const sharedLink = `
pvds:
  - {name: alpha, interface: e3, next_hops: ["fe80::3"]}
  - {name: beta, interface: e3, next_hops: ["fe80::4"]}
rules:
  - {name: shared, forbid: [e1, e2]}
`

// overloaded has r3b ask to be used last.
func overloaded() lab.Layout { return lab.TwoRouters(preferring("r3b", nd.Low)) }

func operatorAdvises(ctx context.Context, e *Env) error {
	if _, err := e.parted(ctx, "alpha", "beta"); err != nil {
		return err
	}
	echo := public6(lab.PortEcho)
	if err := e.all(ctx, 10, "r3a", echo, lab.SocketOptions{}); err != nil {
		return err
	}
	told, err := e.watch(ctx)
	if err != nil {
		return err
	}
	if err := e.user(ctx, "rules:\n  - {name: mine, prefer: [beta]}\n"); err != nil {
		return err
	}
	for range 3 {
		if err := e.carriedAs(ctx, userID, "r3b", echo); err != nil {
			return err
		}
	}
	x, err := e.explain(ctx, lab.Public6().String(), "--user", strconv.Itoa(userID))
	if err != nil {
		return err
	}
	if len(x.Conflicts) != 1 || x.Conflicts[0].Winner != "mine" || !strings.Contains(x.Conflicts[0].Loser, "beta") {
		return fmt.Errorf("conflicts %+v, want the router's preference overruled by the user's rule", x.Conflicts)
	}
	if err := told.once(ctx, "conflict", "", `"mine" stands above "router preference of beta"`); err != nil {
		return err
	}
	return e.all(ctx, 5, "r3a", echo, lab.SocketOptions{})
}
