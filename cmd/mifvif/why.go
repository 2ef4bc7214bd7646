package main

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mifvif/control"
	"mifvif/flow"
	"mifvif/pvd"
	"mifvif/relay"
	"mifvif/scheduler"
)

// errTarget says what explain can be asked about.
var errTarget = errors.New("is no address, no name and no id of a flow (see: mifvif flows)")

// errGone is for an id whose flow nobody remembers.
var errGone = errors.New("is no live flow and none that has ended lately (see: mifvif flows)")

// flowID reports whether s has the form of a flow's id.
func flowID(s string) bool { return regexp.MustCompile(`^[tu]\d+$`).MatchString(s) }

// nameable reports whether s can be the name of a host: the last label of one is
// no number (RFC 1123 2.1).
func nameable(s string) bool {
	s = strings.TrimSuffix(s, ".")
	last := s[strings.LastIndexByte(s, '.')+1:]
	return last != "" && !strings.ContainsAny(s, " /:") && strings.Trim(last, "0123456789") != ""
}

// errNotCarried says that mifvif decides nothing about a destination.
var errNotCarried = errors.New("is never put on an uplink: it means this host, one of its links, or mif0 itself")

// neverCarried reports whether an address is left to the kernel, or is the house's own.
func (d *daemon) neverCarried(a netip.Addr) bool {
	own := slices.ContainsFunc(house(d.config.Load()), func(p netip.Prefix) bool { return p.Contains(a) })
	for _, p := range d.current.Load().All() {
		own = own || slices.ContainsFunc(p.Addresses, func(h pvd.Address) bool { return h.Prefix.Addr() == a })
	}
	return own || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// explain answers what was or would be decided.
func (d *daemon) explain(q control.Question) (control.Explanation, error) {
	id := q.Target
	f, was, past := d.decided(id)
	if !past {
		var err error
		if f, err = d.meant(q); err != nil {
			return control.Explanation{}, control.Mistake{Err: err}
		}
		id = ""
	}
	shown := f.Dst
	d.names.Recall(&f)
	e := d.scheduler.Explain(f)
	f.Dst = shown
	out := inWords(f, &e)
	out.Flow.ID = id
	if text := d.single.Load(); text != nil && out.MPTCP != nil && e.Decision.MPTCP != scheduler.MultipathOff {
		out.MPTCP.Reason += "; it cannot be used: " + *text
	}
	if past {
		out.Decision, out.Refusal = was, ""
	}
	return out, nil
}

// inWords restates the explanation of a flow.
func inWords(f flow.Flow, e *scheduler.Explanation) control.Explanation {
	out := control.Explanation{
		Flow: control.FlowKey{
			Proto: f.Proto.String(), Src: f.Src.String(), Dst: f.Dst.String(), Name: f.Name, Zone: e.Decision.Zone, DSCP: int(f.DSCP),
		},
		Candidates: []control.Candidate{}, Rules: []control.Rule{}, Conflicts: []control.Conflict{},
	}
	if c := e.Decision.Candidates(); len(c) > 0 {
		out.Decision = &control.Decision{
			PvD: c[0].Domain.Name, Source: c[0].Source.String(), Interface: c[0].Domain.Interface,
			Rule: e.Decision.Rule, Actor: e.Decision.Actor, Reason: e.Decision.Reason,
			Path: pathWord(f.Proto, e.Decision.Path), PathReason: e.Path,
		}
	} else {
		out.Refusal = e.Decision.Reason
	}
	if f.Dst.Addr().IsUnspecified() {
		out.Flow.Dst = "" // a name alone
	}
	if e.Multipath != "" {
		out.MPTCP = &control.Multipath{Use: e.Decision.MPTCP.String(), Reason: e.Multipath}
	}
	for _, v := range e.Candidates {
		out.Candidates = append(out.Candidates, control.Candidate{PvD: v.Domain, Verdict: v.Verdict, Reason: v.Reason})
	}
	for _, r := range e.Rules {
		out.Rules = append(out.Rules, control.Rule{Name: r.Name, Actor: r.Actor, Effect: r.Effect, Reason: r.Reason})
	}
	for _, c := range e.Conflicts {
		out.Conflicts = append(out.Conflicts, control.Conflict{Winner: c.Winner, Loser: c.Loser, Reason: c.Reason})
	}
	return out
}

// pathWord says whether a flow ends in mifvif or is translated there, as all but TCP is.
func pathWord(proto flow.Proto, path scheduler.Path) string {
	if proto == flow.TCP && path != scheduler.PathTranslate {
		return "terminated"
	}
	return "translated"
}

// meant turns the target into a flow: an address, or a name that was resolved
// lately.
func (d *daemon) meant(q control.Question) (flow.Flow, error) {
	f := flow.Flow{Proto: map[string]flow.Proto{"tcp": flow.TCP, "udp": flow.UDP, "icmp": flow.ICMP}[q.Proto], DSCP: uint8(q.DSCP)}
	dst, err := netip.ParseAddr(q.Target)
	dst = dst.Unmap() // an app's socket of both families has IPv4 flows by it
	if err != nil {
		if flowID(q.Target) {
			return f, fmt.Errorf("%s %w", q.Target, errGone)
		}
		if !nameable(q.Target) {
			return f, fmt.Errorf("%q %w", q.Target, errTarget)
		}
		f.Name = strings.TrimSuffix(strings.ToLower(q.Target), ".")
		dst = d.resolved(f.Name)
	} else if d.neverCarried(dst) {
		return f, fmt.Errorf("%s %w", dst, errNotCarried)
	}
	f.Dst = netip.AddrPortFrom(dst, uint16(q.Port))
	if f.Proto == flow.ICMP {
		f.Dst = netip.AddrPortFrom(dst, 0)
		if dst.Is6() {
			f.Proto = flow.ICMPv6
		}
	}
	src, err := d.sourceFor(q.Src, dst)
	f.Src = netip.AddrPortFrom(src, 0)
	if f.Ingress = d.relay.LANOf(src); f.Ingress == "" {
		f.Owner = flow.Owner{Known: q.User != nil, Process: q.Process, Cgroup: q.Cgroup}
		if q.User != nil {
			f.Owner.UID = *q.User
		}
	}
	return f, err
}

// decided finds a flow by its id, a live one or one that has ended: the flow, and
// what was decided about it, which stays.
func (d *daemon) decided(id string) (flow.Flow, *control.Decision, bool) {
	n, err := strconv.ParseUint(strings.TrimLeft(id, "tu"), 10, 64)
	if err != nil || len(id) < 2 {
		return flow.Flow{}, nil, false
	}
	if id[0] == 't' {
		live := d.relay.Flows()
		i := slices.IndexFunc(live, func(r relay.Record) bool { return r.ID == n })
		if i >= 0 {
			return live[i].Flow, restated(&live[i]), true
		}
	}
	for _, r := range d.nat.Flows() {
		if id[0] == 'u' && r.ID == n {
			return r.Flow, restated(&relay.Record{Flow: r.Flow, Domain: r.Domain, Source: r.Source, Rule: r.Rule, Actor: r.Actor, Reason: r.Reason, Offloaded: r.Offloaded}), true
		}
	}
	if r, ok := d.past.Find(id[0] == 't', n); ok && (id[0] == 't' || id[0] == 'u') {
		return r.Flow, restated(&r), true
	}
	return flow.Flow{}, nil, false
}

// restated restates what was decided about a flow.
func restated(r *relay.Record) *control.Decision {
	return &control.Decision{
		PvD: r.Domain.Name, Source: r.Source.Addr().String(), Interface: r.Domain.Interface, Rule: r.Rule, Actor: r.Actor, Reason: r.Reason,
		Path: path(r.Offloaded, pathWord(r.Flow.Proto, scheduler.PathTerminate)),
	}
}

// sourceFor returns the app side that was meant: mif0's own address by default.
func (d *daemon) sourceFor(asked string, dst netip.Addr) (netip.Addr, error) {
	if asked != "" {
		src, err := netip.ParseAddr(asked)
		if err != nil || src.Is6() != dst.Is6() {
			return src, fmt.Errorf("--src %q is no address of the destination's family", asked)
		}
		return src, nil
	}
	for _, p := range d.config.Load().Interface.Addresses {
		if p.Addr().Is6() == dst.Is6() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, errors.New("mif0 has no address of the destination's family")
}

// resolved returns an address that a live flow goes to under that name; without
// one the decision is about the name alone.
func (d *daemon) resolved(name string) netip.Addr {
	for _, f := range d.flows() {
		if f.Name == name {
			if dst, err := netip.ParseAddrPort(f.Dst); err == nil {
				return dst.Addr()
			}
		}
	}
	return netip.IPv4Unspecified()
}
