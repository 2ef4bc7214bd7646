package netwatch

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// Counters are what an interface has carried, in octets of its link layer.
type Counters struct{ Rx, Tx uint64 }

// ReadCounters returns the counters of every interface of the calling thread's
// network namespace, by index.
func ReadCounters() (map[int]Counters, error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("read the links' counters: %w", err)
	}
	out := make(map[int]Counters, len(links))
	for _, l := range links {
		if a := l.Attrs(); a != nil && a.Statistics != nil {
			out[a.Index] = Counters{Rx: a.Statistics.RxBytes, Tx: a.Statistics.TxBytes}
		}
	}
	return out, nil
}
