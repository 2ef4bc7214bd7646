package relay

import "sync/atomic"

// drops counts what was not carried, by reason.
type drops struct {
	malformed, martian, protocol, refused, unbound, nowhere, unwritten, tooManyFlows atomic.Uint64
}

// Drops returns how many packets or flows were not carried, by reason. Safe for
// concurrent use.
func (r *Relay) Drops() map[string]uint64 {
	return map[string]uint64{
		"malformed":      r.drops.malformed.Load(),
		"martian":        r.drops.martian.Load(),
		"protocol":       r.drops.protocol.Load(),
		"refused":        r.drops.refused.Load(),
		"nowhere":        r.drops.nowhere.Load(),
		"unwritten":      r.drops.unwritten.Load(),
		"unbound":        r.drops.unbound.Load(),
		"too_many_flows": r.drops.tooManyFlows.Load(),
	}
}
