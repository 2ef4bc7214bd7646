package main

import (
	"net/netip"

	"mifvif/flow"
	"mifvif/owner"
	"mifvif/scheduler"
)

// owners asks whose flows are, as far as the rules in force want to know.
type owners struct {
	finder    *owner.Finder
	scheduler *scheduler.Scheduler
}

// Owner implements relay.Owners.
func (o owners) Owner(f flow.Flow) flow.Owner {
	needs := o.scheduler.Needs()
	if !needs.Owner {
		return flow.Owner{}
	}
	return o.finder.Find(f, owner.Want{Cgroup: needs.Cgroup, Process: needs.Process})
}

// asker returns who put a question to one of the resolver's addresses: a rule
// about an app holds for its names too (RFC 6418 5.5-E). Behind a resolver of
// the host's own it is that one, and the app is not known.
func (o owners) asker(app netip.AddrPort, listen []netip.Addr) flow.Owner {
	for _, to := range listen {
		if to.Is6() != app.Addr().Unmap().Is6() {
			continue
		}
		for _, proto := range []flow.Proto{flow.UDP, flow.TCP} {
			f := flow.Flow{Proto: proto, Src: app, Dst: netip.AddrPortFrom(to, resolverPort)}
			if found := o.Owner(f); found.Known {
				return found
			}
		}
	}
	return flow.Owner{}
}

// resolverPort is where the resolver is served.
const resolverPort = 53
