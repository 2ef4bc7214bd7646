package main

import (
	"net/netip"

	"mifvif/flow"
	"mifvif/owner"
	"mifvif/quota"
	"mifvif/relay"
	"mifvif/scheduler"
)

// owners asks whose flows are, as far as the policy in force wants to know.
type owners struct {
	finder    *owner.Finder
	scheduler *scheduler.Scheduler
}

// Owner implements relay.Owners.
func (o owners) Owner(f flow.Flow) flow.Owner {
	needs := o.scheduler.Needs()
	if !needs.Owner && !needs.App {
		return flow.Owner{}
	}
	return o.finder.Find(f, owner.Want{Cgroup: needs.Cgroup || needs.App, Process: needs.Process})
}

// asker returns who put a question to one of the resolver's addresses, where a
// rule is about an app: it holds for its names too (RFC 6418 5.5-E). Behind a
// resolver of the host's own it is that one, and the app is not known. Names are
// kept together by host: the flows follow their answers.
func (o owners) asker(app netip.AddrPort, listen []netip.Addr) flow.Owner {
	if !o.scheduler.Needs().Owner {
		return flow.Owner{}
	}
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

// owner says whose a flow is, of a command too.
func (d *daemon) owner(f flow.Flow) flow.Owner {
	if in, _ := d.relay.InletOf(f.Src.Addr()); in != nil {
		return in.Owners.Owner(f)
	}
	return d.owners.Owner(f)
}

// holder says whom a place in a table is for: a LAN's host, or the user who has the
// command or the socket, if it is to be asked or is known (limits.per_source).
func (d *daemon) holder(f flow.Flow, ask bool) quota.Holder {
	if number, ok := relay.CommandOf(f.Src.Addr()); ok {
		return d.commands.holder(number)
	}
	switch src := f.Src.Addr(); {
	case d.relay.LANOf(src) != "":
		return quota.Host(src)
	case f.Owner.Known:
		return quota.User(f.Owner.UID)
	case !ask:
		return quota.Holder{}
	}
	if o := d.owners.finder.Find(f, owner.Want{}); o.Known {
		return quota.User(o.UID)
	}
	return quota.Nobody()
}
