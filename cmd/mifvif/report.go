package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"mifvif/config"
	"mifvif/control"
	"mifvif/control/metrics"
	"mifvif/flow"
	"mifvif/owner"
	"mifvif/pvd"
	"mifvif/relay"
)

// handlers is what the control socket offers.
func (d *daemon) handlers() control.Handlers {
	h := control.Handlers{
		Status: d.status, PvDs: d.pvds, Flows: d.flows, Explain: d.explain, Rules: d.rules, Drain: d.drain, ChangeRules: d.changeRules, Resolve: d.resolve, Cache: d.cache,
		Reload: func(ctx context.Context) error { return d.reload(ctx) },
		Portal: d.portal, Command: d.command,
		Events: &d.events, Profile: d.config.Load().Control.Profile,
	}
	if d.config.Load().Control.Metrics {
		h.Metrics = metrics.Handler(d.metrics)
	}
	return h
}

func (d *daemon) status() control.Status {
	cfg := d.config.Load()
	s := control.Status{
		Version: version(), State: "running", Since: d.began, Drops: d.drops(), Moves: d.news.moved(),
		Interface: control.Interface{
			Name: d.device.Name(), MTU: d.device.MTU(), DefaultRoute: cfg.Interface.DefaultRoute, Addresses: []string{},
		},
		Process:  control.Process{PID: os.Getpid(), Goroutines: runtime.NumGoroutine()},
		Warnings: d.warnings(),
	}
	for _, p := range cfg.Interface.Addresses {
		s.Interface.Addresses = append(s.Interface.Addresses, p.String())
	}
	ended := d.past.Carried() // before the live ones, see metrics
	flows := d.flows()
	for _, f := range flows {
		switch f.Proto {
		case "tcp":
			s.Flows.TCP++
		case "udp":
			s.Flows.UDP++
		case "icmp":
			s.Flows.ICMP++
		default:
			s.Flows.Other++
		}
	}
	s.Warnings = append(s.Warnings, crowded(s.Flows, cfg.Limits)...)
	s.PvDs = d.domains(ended, flows, false)
	return s
}

// crowded says which limits are reached, and what that means for new flows.
func crowded(n control.Counts, l config.Limits) (out []string) {
	if n.TCP >= l.TCPFlows {
		out = append(out, fmt.Sprintf("there are as many TCP flows as limits.tcp_flows allows (%d): new ones wait until others end", l.TCPFlows))
	}
	if n.UDP+n.ICMP >= l.UDPFlows {
		out = append(out, fmt.Sprintf("there are as many UDP and ICMP flows as limits.udp_flows allows (%d): a new one ends one that is idle", l.UDPFlows))
	}
	return out
}

func (d *daemon) pvds() []control.PvD {
	ended := d.past.Carried()
	return d.domains(ended, d.flows(), true)
}

// warnings are what a person should look at.
func (d *daemon) warnings() []string {
	out := d.standing()
	cfg := d.config.Load()
	for _, w := range slices.Concat(cfg.Warnings, cfg.Unused) {
		out = append(out, w.String())
	}
	if text := d.trouble.Load(); text != nil {
		out = append(out, "not every route and rule is in place: "+*text)
	}
	if text := d.refused.Load(); text != nil {
		out = append(out, "the configuration was not reloaded, the old one stays in force: "+*text)
	}
	return out
}

// standing are the warnings that follow from the present state; those that begin
// are events too.
func (d *daemon) standing() []string {
	out := []string{}
	for _, name := range d.scheduler.Pending() {
		out = append(out, fmt.Sprintf("a rule names the domain %q, which is not there", name))
	}
	usable := false
	for _, p := range d.current.Load().All() {
		usable = usable || p.State == pvd.Online
		if p.State == pvd.Online && len(p.Resolvers) == 0 {
			out = append(out, fmt.Sprintf("%s has no resolver: names are not asked there", p.Name))
		}
	}
	out = append(out, spentCaps(d.current.Load().All(), d.sampler.load)...)
	if all := d.missing.Load(); all != nil {
		out = append(out, *all...)
	}
	if text := d.single.Load(); text != nil {
		out = append(out, "rules ask for Multipath TCP, which cannot be used: "+*text)
	}
	if text := d.untranslated.Load(); text != nil && asksTranslation(&d.config.Load().Policy) {
		out = append(out, "rules ask for path: translate, which cannot be had, so TCP is terminated: "+*text)
	}
	if all := d.overruled.Load(); all != nil {
		out = append(out, *all...)
	}
	if d.unasked.Load() {
		out = append(out, "the host's resolver could not be pointed at mifvif (see its log): names are asked as before")
	}
	if !usable {
		out = append(out, "no uplink is usable: every flow is refused")
	}
	return out
}

// drops gathers every station's counters.
func (d *daemon) drops() map[string]uint64 {
	all := d.relay.Drops()
	all["commands_refused"] = d.commands.turned.Load()
	all["mif0_refused"], all["mif0_invalid"] = d.device.Dropped(), d.device.Invalid()
	for _, part := range []map[string]uint64{d.nat.Stats(), d.resolver.Drops(), d.publisher.sources.drops()} {
		for k, v := range part {
			all[k] += v
		}
	}
	if guard, err := d.uplinks.Dropped(); err == nil { // else there is no nftables, as a warning has said
		all["strong_host"], all["uplink_to_uplink"], all["foreign_source"] = guard.Input, guard.Forward, guard.Output
	}
	return all
}

// domains restates the present set; carried is what flows that have ended carried.
func (d *daemon) domains(carried map[string]relay.Carried, flows []control.Flow, objects bool) []control.PvD {
	out := []control.PvD{}
	live := make(map[string]int)
	for _, f := range flows {
		c := carried[f.PvD]
		carried[f.PvD] = relay.Carried{Tx: c.Tx + f.TxBytes, Rx: c.Rx + f.RxBytes}
		live[f.PvD]++
	}
	carried = d.carried.grown(carried)
	stands := handles(d.current.Load(), d.config.Load())
	for _, p := range d.current.Load().All() {
		c := control.PvD{
			Name: p.Name, ID: p.ID, Explicit: p.Explicit, Shared: p.Shared, Interface: p.Interface, State: string(p.State),
			Connectivity: string(p.Connectivity), Weight: p.Weight, Metered: p.Metered, Trusted: p.Trust == pvd.Trusted, Reason: p.Reason,
			Sources: []string{}, NextHops: []string{}, DNS: []control.Resolver{}, Zones: names(p.Zones), Prefixes: []string{}, PREF64: []string{}, Handles: []string{},
		}
		for _, a := range stands[p.Name] {
			c.Handles = append(c.Handles, a.String())
		}
		for _, a := range p.Addresses {
			c.Sources = append(c.Sources, a.Prefix.Addr().String())
		}
		for _, h := range p.NextHops {
			c.NextHops = append(c.NextHops, hop(h))
		}
		for _, r := range p.Resolvers {
			c.DNS = append(c.DNS, control.Resolver{Address: r.Addr.String(), Origin: string(r.Origin), Zones: names(p.Zones)})
		}
		for _, x := range p.Prefixes {
			c.Prefixes = append(c.Prefixes, x.String())
		}
		for _, x := range p.PREF64 {
			c.PREF64 = append(c.PREF64, x.Prefix.String())
		}
		c.Flows, c.TxBytes, c.RxBytes = live[p.Name], carried[p.Name].Tx, carried[p.Name].Rx
		load := d.sampler.load(p.Key())
		c.TxRate, c.RxRate = load.Up, load.Down
		if q, ok := d.scheduler.Quality(p.Key()); ok && q.RTT > 0 {
			rtt := q.RTT.Seconds()
			c.RTT, c.Loss = &rtt, &q.Loss
		}
		if objects {
			c.Objects = holdings(p, time.Now())
		}
		out = append(out, c)
	}
	return out
}

func names(zones []pvd.Zone) []string {
	out := []string{}
	for _, z := range zones {
		out = append(out, z.Name)
	}
	return out
}

// hop writes a next hop; a point-to-point link has none to name.
func hop(h pvd.NextHop) string {
	if !h.Addr.IsValid() {
		return "link"
	}
	return h.Addr.String()
}

// flows gathers TCP flows and bindings, newest last.
func (d *daemon) flows() []control.Flow {
	out := []control.Flow{}
	owners, err := owner.Read()
	if err != nil {
		d.log.Debug("the owners of sockets are not known", "error", err)
	}
	for _, r := range d.relay.Flows() {
		out = append(out, d.restate("t", r.ID, r.Flow, r.Domain, r.Source, r.Started, control.Flow{
			Rule: r.Rule, Actor: r.Actor, Reason: r.Reason, Path: path(r.Offloaded, "terminated"), State: r.State, TxBytes: r.TxBytes, RxBytes: r.RxBytes, MPTCP: subflows(&r),
		}))
	}
	for _, r := range d.nat.Flows() {
		out = append(out, d.restate("u", r.ID, r.Flow, r.Domain, r.Source, r.Started, control.Flow{
			Rule: r.Rule, Actor: r.Actor, Reason: r.Reason, Path: path(r.Offloaded, "translated"), State: "bound", TxBytes: r.TxBytes, RxBytes: r.RxBytes,
		}))
	}
	inside := make(map[byte]*owner.Table)
	for i := range out {
		out[i].Owner = d.owned(owners, inside, &out[i])
	}
	slices.SortFunc(out, func(a, b control.Flow) int { return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID)) })
	return out
}

// path is the word for who carries a flow: the kernel, or else the house in its way.
func path(offloaded bool, otherwise string) string {
	if offloaded {
		return "offloaded"
	}
	return otherwise
}

// subflows restates the paths of a TCP flow.
func subflows(r *relay.Record) control.MPTCP {
	out := control.MPTCP{Subflows: len(r.Subflows)}
	for _, s := range r.Subflows {
		out.Paths = append(out.Paths, control.Subflow{PvD: s.Domain.Name, Source: s.Source.String(), Backup: s.Backup})
	}
	return out
}

// owned returns whose socket a flow is, as far as the kernel says, here or inside
// of a command's namespace, which is looked at once.
func (d *daemon) owned(owners *owner.Table, inside map[byte]*owner.Table, f *control.Flow) control.Owner {
	src, err := netip.ParseAddrPort(f.Src)
	if number, ok := relay.CommandOf(src.Addr()); ok && err == nil {
		if _, looked := inside[number]; !looked {
			inside[number] = d.commands.sockets(number)
		}
		owners = inside[number]
	}
	if owners == nil || err != nil {
		return control.Owner{}
	}
	protos := map[string]flow.Proto{"tcp": flow.TCP, "udp": flow.UDP}
	o, _ := owners.Lookup(protos[f.Proto], src)
	return control.Owner{UID: int(o.UID), PID: o.PID, Process: o.Process, Cgroup: o.Cgroup}
}

// restate fills in what every kind of flow has.
func (d *daemon) restate(kind string, id uint64, f flow.Flow, p *pvd.Domain, source netip.AddrPort, began time.Time, c control.Flow) control.Flow {
	c.ID, c.Proto = kind+strconv.FormatUint(id, 10), f.Proto.String()
	c.Src, c.Dst, c.Name = f.Src.String(), f.Dst.String(), f.Name
	if c.Name == "" {
		b, _ := d.names.Lookup(f.Src.Addr(), f.Dst.Addr())
		c.Name = b.Name
	}
	c.PvD, c.Interface, c.Source, c.Started = p.Name, p.Interface, source.String(), began
	return c
}
