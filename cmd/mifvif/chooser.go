package main

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"mifvif/dns"
	"mifvif/flow"
	"mifvif/pvd"
	"mifvif/scheduler"
)

// What apps may keep of an answer at most: a stub's own cache is the only one
// that cannot be flushed (standards D.7).
const (
	severalTTL = 30 * time.Second // there is another network, or one that is not validated
	foreignTTL = 5 * time.Second  // of the private zones of networks nobody vouches for
)

// typeAAAA is the type of record that holds an IPv6 address (RFC 3596).
const typeAAAA = 28

// chooser asks the scheduler which domains a query may be sent to: the decision
// is the one about a flow to that name (RFC 6418 5.5-E).
type chooser struct {
	scheduler *scheduler.Scheduler
	domains   func() *pvd.Set
	// asker returns who asks; false for somebody who is no more.
	asker func(netip.AddrPort) (asker, bool)
}

// asker is who puts a question to the resolver.
type asker struct {
	owner   flow.Owner
	command string // the domain that its command was started for, "" for other apps
}

// reasonNobody is why a question of a command that has ended goes nowhere.
const reasonNobody = "the command that asks has ended"

// Choose implements dns.Chooser. A name in a domain's zone goes there and
// nowhere else; any other follows the decision about its site, in either family.
// What a command asks goes to the command's domain.
func (c chooser) Choose(q dns.Query, into []*pvd.Domain) dns.Choice {
	who, ok := c.asker(q.App)
	if !ok {
		return dns.Choice{Domains: into, Reason: reasonNobody}
	}
	set := c.domains()
	out := dns.Choice{Domains: into, MaxTTL: ttl(set)}
	if q.Reverse.IsValid() {
		d := c.scheduler.Pick(c.question(q, who, q.Reverse.Addr()))
		out.Domains, out.Reason = withResolvers(out.Domains, &d), d.Reason
		return out
	}
	// The family that is asked for decides first: the flow will be of it.
	first, second := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	if q.Type == typeAAAA {
		first, second = second, first
	}
	one, other := c.scheduler.Pick(c.question(q, who, first)), c.scheduler.Pick(c.question(q, who, second))
	out.Reason, out.Zone = one.Reason, one.Zone
	if len(one.Candidates()) == 0 {
		out.Reason = other.Reason
	}
	if out.Zone == "" {
		out.Zone = other.Zone
	}
	out.Domains = withResolvers(withResolvers(out.Domains, &one), &other)
	switch {
	case out.Zone == "":
		if who.command == "" {
			out.Search = searched(set, &one, &other)
		}
	case len(out.Domains) > 0 && out.Domains[0].Trust == pvd.Untrusted && !ours(out.Domains[0], out.Zone):
		out.MaxTTL = foreignTTL
	}
	return out
}

// ttl returns the cap for answers about names that are nobody's.
func ttl(set *pvd.Set) time.Duration {
	all := set.All()
	if len(all) == 1 && all[0].Connectivity == pvd.Full {
		return 0
	}
	return severalTTL
}

// ours reports whether the configuration gave d the zone.
func ours(d *pvd.Domain, zone string) bool {
	for _, z := range d.Zones {
		if z.Name == zone {
			return z.Origin == pvd.FromConfig
		}
	}
	return false
}

// question restates a query as the flow that will follow it, which may be of the
// other family than the query.
func (c chooser) question(q dns.Query, who asker, dst netip.Addr) flow.Flow {
	return flow.Flow{
		Proto: flow.UDP, Src: q.App, Dst: netip.AddrPortFrom(dst, 0), Name: strings.TrimSuffix(q.Name, "."),
		Owner: who.owner, Bound: who.command, Confined: who.command != "",
	}
}

// withResolvers appends the candidates of d that have resolvers, each once.
func withResolvers(list []*pvd.Domain, d *scheduler.Decision) []*pvd.Domain {
	for _, c := range d.Candidates() {
		if len(c.Domain.Resolvers) > 0 && !slices.Contains(list, c.Domain) {
			list = append(list, c.Domain)
		}
	}
	return list
}

// searched are the trusted domains that may know a name that is nobody's: those
// without any zone of their own, unless a rule has spoken about the name or they
// are asked anyway (standards D.4, search-trusted).
func searched(set *pvd.Set, decisions ...*scheduler.Decision) []*pvd.Domain {
	var out []*pvd.Domain
	for _, d := range set.All() {
		if d.Trust != pvd.Trusted || d.Internet || len(d.Zones) > 0 || len(d.Search) > 0 || len(d.Resolvers) == 0 ||
			!d.Usable(false) && !d.Usable(true) {
			continue
		}
		if !ruled(decisions) {
			out = append(out, d)
		}
	}
	return out
}

// ruled reports whether a rule has spoken in a decision.
func ruled(decisions []*scheduler.Decision) bool {
	for _, d := range decisions {
		if d.Rule != "" {
			return true
		}
	}
	return false
}
