package relay

import (
	"maps"
	"net/netip"
	"sync/atomic"

	"mifvif/flow"
)

// drops counts what was not carried, by reason.
type drops struct {
	malformed, martian, protocol, refused, unbound, nowhere, unwritten, tooManyFlows atomic.Uint64
}

// Drops returns how many packets or flows were not carried, by reason. Safe for
// concurrent use.
func (r *Relay) Drops() map[string]uint64 {
	out := map[string]uint64{
		"malformed":      r.drops.malformed.Load(),
		"martian":        r.drops.martian.Load(),
		"protocol":       r.drops.protocol.Load(),
		"refused":        r.drops.refused.Load(),
		"nowhere":        r.drops.nowhere.Load(),
		"unwritten":      r.drops.unwritten.Load(),
		"unbound":        r.drops.unbound.Load(),
		"too_many_flows": r.drops.tooManyFlows.Load(),
	}
	maps.Copy(out, r.stack.Stats())
	return out
}

// refused tells of a flow that is not carried.
func (r *Relay) refused(f flow.Flow, asked netip.AddrPort, reason string) {
	if r.cfg.News != nil {
		f.Dst = asked
		r.cfg.News.Refused(f, reason)
	}
}
