package main

import (
	"net/netip"
	"strings"

	"mifvif/dns"
	"mifvif/flow"
	"mifvif/pvd"
	"mifvif/scheduler"
)

// chooser asks the scheduler which domains a query may be sent to: the decision
// is the one about a flow to that name (RFC 6418 5.5-E).
type chooser struct {
	scheduler *scheduler.Scheduler
	domains   func() *pvd.Set
}

// Choose implements dns.Chooser. A name in a domain's zone goes there and
// nowhere else; any other follows the decision about its site, in either family.
func (c chooser) Choose(q dns.Query) dns.Choice {
	if domains, zone := inZone(c.domains(), q.Name); zone != "" {
		return dns.Choice{Domains: domains, Zone: zone, Reason: "the name lies in a zone of this domain"}
	}
	if q.Reverse.IsValid() {
		d := c.scheduler.Pick(question(q, q.Reverse.Addr()))
		return dns.Choice{Domains: withResolvers(nil, &d), Reason: d.Reason}
	}
	v4 := c.scheduler.Pick(question(q, netip.IPv4Unspecified()))
	v6 := c.scheduler.Pick(question(q, netip.IPv6Unspecified()))
	reason := v4.Reason
	if len(v4.Candidates()) == 0 {
		reason = v6.Reason
	}
	return dns.Choice{Domains: withResolvers(withResolvers(nil, &v4), &v6), Reason: reason}
}

// question restates a query as the flow that will follow it, which may be of the
// other family than the query.
func question(q dns.Query, dst netip.Addr) flow.Flow {
	return flow.Flow{
		Proto: flow.UDP, Src: q.App, Dst: netip.AddrPortFrom(dst, 0), Name: strings.TrimSuffix(q.Name, "."),
	}
}

// withResolvers appends the candidates of d that have resolvers, each once.
func withResolvers(list []*pvd.Domain, d *scheduler.Decision) []*pvd.Domain {
next:
	for _, c := range d.Candidates() {
		for _, have := range list {
			if have == c.Domain {
				continue next
			}
		}
		if len(c.Domain.Resolvers) > 0 {
			list = append(list, c.Domain)
		}
	}
	return list
}

// inZone returns the living domains with the longest zone that name lies in.
func inZone(set *pvd.Set, name string) (domains []*pvd.Domain, zone string) {
	for _, d := range set.All() {
		for _, z := range d.Zones {
			z := z.Name + "."
			if name != z && !strings.HasSuffix(name, "."+z) || len(z) < len(zone) {
				continue
			}
			if len(z) > len(zone) {
				domains, zone = nil, z
			}
			if d.State == pvd.Online || d.State == pvd.Degraded {
				domains = append(domains, d)
			}
		}
	}
	return domains, zone
}
