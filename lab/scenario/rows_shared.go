package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

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
func secondPreferred() lab.Layout {
	return lab.TwoRouters(func(n lab.Network) nd.RA {
		ra := n.PlainAdvert()
		if n.Name == "r3b" {
			ra.Preference = nd.High
		}
		return ra
	})
}

// routers are the networks on the shared link.
func (e *Env) routers() []lab.Network { return []lab.Network{e.Network("r3a"), e.Network("r3b")} }

// formed waits until the host has formed an address of a router's prefix.
func (e *Env) formed(ctx context.Context, n lab.Network) (formed netip.Addr, err error) {
	return formed, within(ctx, func() error {
		all, err := e.Host.Addresses(n.Link)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(p netip.Prefix) bool { return n.Link6().Contains(p.Addr()) })
		if i < 0 {
			return fmt.Errorf("the host has no address in %v, it has %v", n.Link6(), all)
		}
		formed = all[i].Addr()
		return nil
	})
}

// parted waits until the host has an address of each router of the shared link,
// which it returns, and until mifvif has heard them both.
func (e *Env) parted(ctx context.Context, names ...string) (map[string]netip.Addr, error) {
	formed := make(map[string]netip.Addr)
	for _, n := range e.routers() {
		var err error
		if formed[n.Name], err = e.formed(ctx, n); err != nil {
			return nil, err
		}
	}
	if e.Daemon == nil {
		return formed, nil
	}
	return formed, within(ctx, func() error {
		all, err := e.domains(ctx)
		if err != nil {
			return err
		}
		for i, n := range e.routers() {
			if err := all[names[i]].is(n, formed[n.Name]); err != nil {
				return fmt.Errorf("domain %s: %w", names[i], err)
			}
		}
		return nil
	})
}

// is returns an error unless a domain has what a router advertised and nothing of
// another.
func (d domain) is(n lab.Network, source netip.Addr) error {
	resolver := struct{ Address, Origin string }{netip.AddrPortFrom(n.Resolver6(), 53).String(), "ra"}
	if d.Interface != n.Link || d.State != "online" || !slices.Equal(d.Sources, []string{source.String()}) ||
		!slices.Equal(d.NextHops, []string{n.Gateway6().String()}) || !slices.Contains(d.DNS, resolver) || len(d.DNS) != 1 {
		return fmt.Errorf("it is not what %s advertised: %+v", n.Name, d)
	}
	return nil
}

// hops observes the shared link for packets that go to the wrong router.
type hops struct {
	capture *lab.Capture
	macs    map[string][6]byte // of the routers
	env     *Env
}

func (e *Env) watchHops() (*hops, error) {
	h := &hops{macs: make(map[string][6]byte), env: e}
	for _, n := range e.routers() {
		mac, err := e.Node(n.Name).MAC("lan")
		if err != nil {
			return nil, err
		}
		h.macs[n.Name] = mac
	}
	var err error
	h.capture, err = e.Host.Capture("e3", func(r lab.Record) bool {
		return r.Out && r.Src.Is6() && r.Src.IsGlobalUnicast() && r.Dst.IsGlobalUnicast()
	})
	return h, err
}

// verdict returns an error if a packet went to another router than its source's,
// or if any router got too few for a proof.
func (h *hops) verdict(atLeast int) error {
	seen := map[string]int{}
	for _, r := range h.capture.Records() {
		owner := h.env.NetworkOf(r.Src)
		if mac, ok := h.macs[owner]; !ok || r.DstMAC != mac {
			return fmt.Errorf("a packet with a source of %q went to %x (the routers are %x): %v", owner, r.DstMAC, h.macs, r)
		}
		seen[owner]++
	}
	missed, err := h.capture.Missed()
	if err != nil {
		return err
	}
	if missed > 0 {
		return errBlind
	}
	for name := range h.macs {
		if seen[name] < atLeast {
			return fmt.Errorf("%s got %d packets, want at least %d: %v", name, seen[name], atLeast, seen)
		}
	}
	return nil
}

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

// domain is what scripts read of a domain in `pvds --json`.
type domain struct {
	Name, ID, Interface, State string
	Explicit                   bool
	Sources                    []string
	NextHops                   []string `json:"next_hops"`
	DNS                        []struct{ Address, Origin string }
	Objects                    []object
}

type object struct {
	Kind, Value, Origin string
	Lifetime            *float64
}

// domains asks for all domains, by name.
func (e *Env) domains(ctx context.Context) (map[string]domain, error) {
	var all []domain
	if err := e.JSON(ctx, &all, "pvds"); err != nil {
		return nil, err
	}
	named := make(map[string]domain)
	for _, d := range all {
		named[d.Name] = d
	}
	return named, nil
}

// resolvers returns the addresses of a domain's resolvers.
func (d domain) resolvers() []string {
	var all []string
	for _, r := range d.DNS {
		all = append(all, r.Address)
	}
	return all
}

// rightRouter sends by both routers, whose domains have these names: apps that
// choose their source address themselves, and flows whose source mifvif chooses.
func rightRouter(names ...string) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) error {
		sources, err := e.parted(ctx, names...)
		if err != nil {
			return err
		}
		hops, err := e.watchHops()
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
	if _, err := e.parted(ctx, "alpha", "beta"); err != nil {
		return err
	}
	hops, err := e.watchHops()
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
	sources, err := e.parted(ctx, "a.example.org", "e3")
	if err != nil {
		return err
	}
	sources["n1"], sources["n2"] = e.Network("n1").Host6(), e.Network("n2").Host6()
	hops, err := e.watchHops()
	if err != nil {
		return err
	}
	for name, src := range sources {
		if err := e.Carried(ctx, name, public6(lab.PortEcho), lab.SocketOptions{Source: netip.AddrPortFrom(src, 0)}); err != nil {
			return errors.Join(fmt.Errorf("an app bound to %v: %w", src, err), hops.verdict(1))
		}
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

// expires lets one of a router's objects run out: it goes, and nothing else does,
// neither of the router's domain nor of another.
func expires(ctx context.Context, e *Env) error {
	const lifetime = 3 * time.Second
	if _, err := e.parted(ctx, "a.example.org", "e3"); err != nil {
		return err
	}
	events, err := e.watchEvents(ctx)
	if err != nil {
		return err
	}
	r3a, voice := e.Network("r3a"), e.Advertisers["r3a"]
	short := netip.MustParseAddr("2001:db8:3::99")
	plain := namesItself(r3a).With(nd.Search(time.Hour, "corp.example.org"), nd.Route(netip.MustParsePrefix("2001:db8:3:100::/56"), nd.Medium, time.Hour))
	voice.Set(plain.With(nd.Resolvers(lifetime, short)))
	has := func(d domain) bool { return slices.Contains(d.resolvers(), netip.AddrPortFrom(short, 53).String()) }
	var before map[string]domain
	if err := within(ctx, func() (err error) {
		if before, err = e.domains(ctx); err == nil && !has(before["a.example.org"]) {
			err = fmt.Errorf("the resolver is not in the router's domain: %+v", before["a.example.org"])
		}
		return err
	}); err != nil {
		return err
	}
	voice.Set(plain)
	heard := time.Now()
	var after map[string]domain
	if err := within(ctx, func() (err error) {
		if after, err = e.domains(ctx); err == nil && has(after["a.example.org"]) {
			err = errors.New("the resolver is still there")
		}
		return err
	}); err != nil {
		return err
	}
	if early := time.Since(heard); early < lifetime/2 {
		return fmt.Errorf("the resolver was gone %v after it was last said, want %v", early, lifetime)
	}
	if err := onlyOneObjectLess(before, after, netip.AddrPortFrom(short, 53).String()); err != nil {
		return err
	}
	return eachChangeOnce(events())
}

// eachChangeOnce wants one event for what the router said, however often it says it,
// one for what ran out, and none of another domain.
func eachChangeOnce(events []event) error {
	var of []string
	for _, ev := range events {
		if strings.HasPrefix(ev.Type, "pvd.") {
			of = append(of, ev.PvD+" "+ev.Type)
		}
	}
	want := []string{"a.example.org pvd.changed", "a.example.org pvd.changed"}
	if !slices.Equal(of, want) {
		return fmt.Errorf("watch shows %v, want %v: %+v", of, want, events)
	}
	return nil
}

// event is a line of `watch`.
type event struct{ Type, PvD, Detail string }

// watchEvents begins to watch and returns what has been shown since then, once a
// reload shows that somebody listens.
func (e *Env) watchEvents(ctx context.Context) (func() []event, error) {
	if e.Daemon == nil {
		return nil, errNoDaemon
	}
	lines, err := e.Daemon.Watch()
	if err != nil {
		return nil, err
	}
	all := func() (out []event) {
		for _, line := range lines() {
			var ev event
			if json.Unmarshal([]byte(line), &ev) == nil {
				out = append(out, ev)
			}
		}
		return out
	}
	return all, within(ctx, func() error {
		if _, err := e.Daemon.CLI(ctx, "reload"); err != nil {
			return err
		}
		if len(all()) == 0 {
			return errors.New("watch shows nothing")
		}
		return nil
	})
}

// onlyOneObjectLess compares all objects of all domains.
func onlyOneObjectLess(before, after map[string]domain, gone string) error {
	for name, was := range before {
		for _, o := range was.Objects {
			still := slices.ContainsFunc(after[name].Objects, func(n object) bool {
				return n.Kind == o.Kind && n.Value == o.Value && n.Origin == o.Origin
			})
			if still == (o.Value == gone) {
				return fmt.Errorf("%s %s of %s: still there is %v", o.Kind, o.Value, name, still)
			}
			if o.Value == gone && o.Lifetime == nil {
				return fmt.Errorf("%s is shown without an end", gone)
			}
		}
	}
	return nil
}
