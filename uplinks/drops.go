package uplinks

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Drops counts packets that the guard has dropped.
type Drops struct {
	// Input: arrived on an uplink for an address of another one or of mif0's.
	Input uint64
	// Forward: would have been forwarded from one uplink to another or to mif0, or to
	// one from a LAN past mif0, or came from a LAN with an address of this host.
	Forward uint64
	// Output: would have left by an uplink from an address of another one or of mif0's.
	Output uint64
}

// Dropped returns the guard's counters since its table was made. Safe for
// concurrent use.
func (s *Set) Dropped() (Drops, error) {
	conn, err := nftables.New()
	if err != nil {
		return Drops{}, fmt.Errorf("reach nftables: %w", err)
	}
	var d Drops
	for chain, sum := range map[string]*uint64{chainStrong: &d.Input, chainForward: &d.Forward, chainApart: &d.Forward, chainSource: &d.Output} {
		rules, err := conn.GetRules(ourTable(), &nftables.Chain{Name: chain})
		if err != nil {
			return Drops{}, fmt.Errorf("read the counters of nftables chain %s: %w", chain, err)
		}
		for _, r := range rules {
			for _, e := range r.Exprs {
				if c, ok := e.(*expr.Counter); ok {
					*sum += c.Packets
				}
			}
		}
	}
	return d, nil
}
