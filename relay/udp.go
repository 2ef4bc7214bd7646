package relay

import (
	"net/netip"

	"mifvif/flow"
	"mifvif/nat"
	"mifvif/packet"
	"mifvif/scheduler"
	"mifvif/tun"
)

// udp sends one datagram on through its binding; the first of an app socket,
// or of a destination that policy names, gets its decision here.
func (r *Relay) udp(h tun.Header, info *packet.Info, data []byte) {
	f := flowOf(info)
	if r.isResolver(f.Dst) {
		r.serveUDP(info, data)
		return
	}
	r.carry(h, f, info, data)
}

// carry finds or makes the binding of a datagram and hands it over.
func (r *Relay) carry(h tun.Header, f flow.Flow, info *packet.Info, data []byte) {
	asked := f.Dst
	r.cfg.Names.Recall(&f)
	if r.cfg.Scheduler.Needs().Ingress {
		f.Ingress = r.locals.Load().lanOf(f.Src.Addr())
	}
	if r.cfg.NAT.Forward(h, info, data, r.cfg.Scheduler.Named(f)) {
		return
	}
	in, ok := r.identify(&f, asked)
	if !ok {
		return
	}
	d := r.cfg.Scheduler.Pick(f)
	if d.Refusal != scheduler.NotRefused {
		r.drops.refused.Add(1)
		r.refused(f, asked, d.Reason)
		r.cfg.NAT.Refuse(data, unreachable(d.Refusal))
		return
	}
	bound := f
	bound.Dst = asked
	for _, c := range d.Candidates() {
		to := choice(c, &d)
		if r.cfg.Scheduler.Needs().Owner { // else whose it is keeps flows together, and no more
			to.Owner = f.Owner
		}
		// Whose socket it is must be looked at now and then, what holds outlives its
		// mark, and a command has a device of its own.
		to.Direct = in == nil && !to.Owner.Known && !to.Hold
		switch {
		case c.To.IsValid():
			to.Real = c.To
		case f.Dst != asked:
			to.Real = f.Dst.Addr()
		}
		if r.cfg.NAT.Bind(bound, to) == nil {
			r.cfg.NAT.Forward(h, info, data, d.PerDestination)
			return
		}
	}
	r.drops.unbound.Add(1)
	r.refused(f, asked, "no candidate has a socket for it, or the table of bindings is full")
	r.cfg.NAT.Refuse(data, packet.HostUnreachable)
}

// choice restates a decision as what nat needs to know of it.
func choice(c scheduler.Candidate, d *scheduler.Decision) nat.Choice {
	return nat.Choice{
		Domain: c.Domain, Source: c.Source, PerDestination: d.PerDestination,
		Hold: d.OnFailure == scheduler.FailHold, Tell: d.OnFailure == scheduler.FailReset,
		Rule: d.Rule, Actor: d.Actor, Reason: d.Reason,
	}
}

// unreachable turns a decision without candidates into the ICMP error for it.
func unreachable(r scheduler.Refusal) packet.Unreachable {
	if r == scheduler.Prohibited {
		return packet.AdminProhibited
	}
	return packet.NetUnreachable
}

// flowOf restates parsed headers as a flow.
func flowOf(info *packet.Info) flow.Flow {
	return flow.Flow{
		Proto: flow.Proto(info.Proto),
		Src:   netip.AddrPortFrom(info.Src, info.SrcPort),
		Dst:   netip.AddrPortFrom(info.Dst, info.DstPort),
		DSCP:  info.TOS >> 2,
	}
}

// identify fills in who sends a flow: the LAN it comes from, or whose socket it
// is where a rule asks, or the command, with the inlet it came by. asked is the
// destination as the app knows it. ok is false for what a command has left, and
// where a network says that a name is this host.
func (r *Relay) identify(f *flow.Flow, asked netip.AddrPort) (in *Inlet, ok bool) {
	in, gone := r.InletOf(f.Src.Addr())
	if gone {
		return nil, false
	}
	if in != nil {
		in.confine(f, asked)
		return in, !r.here(f.Dst.Addr())
	}
	l := r.locals.Load()
	f.Ingress, f.Bound = l.lanOf(f.Src.Addr()), l.Handles[f.Src.Addr()]
	if f.Ingress == "" && r.cfg.Owners != nil {
		f.Owner = r.cfg.Owners.Owner(flow.Flow{Proto: f.Proto, Src: f.Src, Dst: asked})
	}
	return nil, true
}
