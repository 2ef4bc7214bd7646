package dhcp4

import (
	"context"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"mifvif/pvd"
	"mifvif/pvd/dhcp"
)

const (
	requestTries = 4
	// startAgain is the wait before a new beginning after a refusal, doubled up
	// to lastWait: a server that refuses what it offers must not make us storm.
	startAgain = 4 * time.Second
	// askAtLeast is the least wait between two attempts to renew (RFC 2131 4.4.5).
	askAtLeast = time.Minute
)

// client leases an address and keeps it until ctx ends (RFC 2131 4.4).
func (w *worker) client(ctx context.Context) {
	wait := startAgain
	for ctx.Err() == nil {
		held := w.acquire(ctx)
		if held == nil {
			if !dhcp.Pause(ctx, dhcp.Jitter(wait, time.Second)) {
				return
			}
			wait = min(2*wait, lastWait)
			continue
		}
		wait = startAgain
		w.source.remember(w.link.Name, held.lease.Prefix.Addr())
		w.keep(ctx, held)
	}
}

// holding is a lease in force.
type holding struct {
	server netip.Addr
	lease  Lease
	since  time.Time // when it was asked for
}

// acquire goes from the first DHCPDISCOVER to a lease. nil means that none was
// got; where the network wants no IPv4 it has waited for as long as it said.
func (w *worker) acquire(ctx context.Context) *holding {
	var offered Lease
	offer, ok, err := w.ask(ctx, asking{
		request: request{kind: dhcpv4.MessageTypeDiscover, requested: w.source.remembered(w.link.Name)},
		takes: func(a *Answer) (ok bool) {
			offered, ok = a.Lease()
			return ok && a.Kind == dhcpv4.MessageTypeOffer
		},
	})
	if err != nil {
		w.unusable(err)
	}
	if !ok {
		return nil
	}
	if d, only := offer.V6Only(); only && w.link.V6Only {
		w.source.log.Info("the network wants no IPv4", "interface", w.link.Name, "for", d)
		dhcp.Pause(ctx, d)
		return nil
	}
	ack, ok, _ := w.ask(ctx, asking{
		request: request{kind: dhcpv4.MessageTypeRequest, requested: offered.Prefix.Addr(), server: offer.Server},
		tries:   requestTries,
		takes:   func(a *Answer) bool { return a.Server == offer.Server && w.settles(a, offered.Prefix.Addr()) },
	})
	if !ok || ack.Kind == dhcpv4.MessageTypeNak || w.taken(ctx, ack) {
		return nil
	}
	return w.bind(ack)
}

// taken reports whether somebody else has the address of a lease, which the server
// is told then (RFC 2131 3.1.5, 4.4.1). A link that cannot be asked has nobody.
func (w *worker) taken(ctx context.Context, ack reply) bool {
	lease, _ := ack.Lease()
	addr := lease.Prefix.Addr()
	taken, err := w.source.inUse(ctx, w.link, addr)
	if err != nil {
		w.unusable(err)
	}
	if !taken && ctx.Err() != nil { // nobody will use it
		w.neighbour = ack.from
		w.told(request{kind: dhcpv4.MessageTypeRelease, client: addr, server: ack.Server})
	}
	if !taken {
		return ctx.Err() != nil
	}
	w.source.log.Warn("a DHCPv4 server has leased an address that another host has", "interface", w.link.Name, "address", addr)
	w.source.forget(w.link.Name)
	w.told(request{kind: dhcpv4.MessageTypeDecline, requested: addr, server: ack.Server})
	dhcp.Pause(ctx, declinedWait)
	return true
}

// settles reports whether an answer decides a request for an address.
func (w *worker) settles(a *Answer, addr netip.Addr) bool {
	if a.Kind == dhcpv4.MessageTypeNak {
		return true
	}
	l, ok := a.Lease()
	return ok && a.Kind == dhcpv4.MessageTypeAck && l.Prefix.Addr() == addr
}

// bind takes a lease into use.
func (w *worker) bind(ack reply) *holding {
	lease, _ := ack.Lease()
	w.neighbour = ack.from
	report, refused := ack.Report(w.link, lease.Prefix, time.Now())
	w.source.counts.objects.Add(uint64(refused))
	if lease.Valid != Forever {
		bound(&report, ack.sent.Add(lease.Valid))
	}
	report.Addresses = []pvd.Address{{
		Prefix: lease.Prefix, Valid: lease.Valid, Preferred: lease.Valid, Origin: pvd.FromDHCPv4, Ours: true,
	}}
	w.servers.Keep(ack.Server) // there is one lease, and one set of what goes with it
	w.deliver(report)
	return &holding{server: ack.Server, lease: lease, since: ack.sent}
}

// bound has everything in a report end with the lease it came with.
func bound(r *pvd.Report, end time.Time) {
	r.Until = end
	if r.Portal.URI != "" {
		r.Portal.Until = end
	}
	each(r.NextHops, func(h *pvd.NextHop) { h.Until = end })
	each(r.Routes, func(x *pvd.Route) { x.Until = end })
	each(r.Resolvers, func(x *pvd.Resolver) { x.Until = end })
	each(r.Designated, func(x *pvd.Designation) { x.Until = end })
	each(r.Zones, func(z *pvd.Zone) { z.Until = end })
	each(r.Search, func(z *pvd.Zone) { z.Until = end })
	each(r.NTP, func(x *pvd.TimeServer) { x.Until = end })
}

// each does f to every item of a list.
func each[T any](list []T, f func(*T)) {
	for i := range list {
		f(&list[i])
	}
}

// keep renews a lease until it is lost or ctx ends, and gives it back then.
func (w *worker) keep(ctx context.Context, h *holding) {
	for {
		if h.lease.Valid == Forever {
			<-ctx.Done()
		} else if dhcp.Pause(ctx, time.Until(h.since.Add(h.lease.T1))) {
			next := w.renew(ctx, h)
			if next != nil {
				h = next
				continue
			}
		}
		if ctx.Err() != nil {
			w.told(request{kind: dhcpv4.MessageTypeRelease, client: h.lease.Prefix.Addr(), server: h.server})
		}
		w.servers.Keep()
		return
	}
}

// renew asks the server, from T2 on any server, to extend a lease. nil means that
// it is refused or over, or that ctx has ended.
func (w *worker) renew(ctx context.Context, h *holding) *holding {
	t2, end := h.since.Add(h.lease.T2), h.since.Add(h.lease.Valid)
	for {
		now := time.Now()
		rest, rebinding := time.Until(t2), false
		if rest <= 0 {
			rest, rebinding = time.Until(end), true
		}
		if !now.Before(end) {
			return nil
		}
		limit := min(max(rest/2, askAtLeast), max(rest, time.Millisecond))
		answer, ok := w.extend(ctx, h, rebinding, limit)
		switch {
		case ctx.Err() != nil, ok && answer.Kind == dhcpv4.MessageTypeNak:
			return nil
		case ok:
			return w.bind(answer)
		}
	}
}

// extend is one attempt of renew, which takes all of limit if nobody answers.
func (w *worker) extend(ctx context.Context, h *holding, rebinding bool, limit time.Duration) (reply, bool) {
	own := h.lease.Prefix.Addr()
	q := asking{
		request: request{kind: dhcpv4.MessageTypeRequest, client: own}, tries: 1, to: h.server,
		takes: func(a *Answer) bool {
			return (rebinding || a.Server == h.server) && w.settles(a, own)
		},
	}
	if rebinding {
		q.to = netip.Addr{}
	}
	over := time.Now().Add(limit)
	trying, cancel := context.WithDeadline(ctx, over)
	defer cancel()
	answer, ok, _ := w.ask(trying, q)
	if !ok {
		dhcp.Pause(ctx, time.Until(over))
	}
	return answer, ok
}
