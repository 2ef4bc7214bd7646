package scheduler

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mifvif/pvd"
)

// TestExplainShowsWhatIsKnownOfPaths: to the destination, in each candidate, and to
// no other.
func TestExplainShowsWhatIsKnownOfPaths(t *testing.T) {
	s := house(Policy{Algorithm: LowestLatency}, lines(3)...)
	learn := func(slot uint16, dst string, samples ...Sample) {
		for _, one := range samples {
			s.Learn(pvd.Key{Slot: slot, Attached: 1}, netip.MustParseAddr(dst), one)
		}
	}
	learn(0, "192.0.2.7", Sample{RTT: 20 * time.Millisecond}, Sample{RTT: 20 * time.Millisecond, Sent: 100, Lost: 40, Rate: 94_100_000})
	learn(1, "192.0.2.7", Sample{RTT: 5 * time.Millisecond})
	learn(2, "192.0.2.7", Sample{Silent: true}, Sample{Silent: true}, Sample{Silent: true})
	shown := func(dst string) (out []string) {
		for _, v := range s.Explain(to(dst, "")).Candidates {
			out = append(out, v.Domain+": "+v.Reason)
		}
		return out
	}
	names := s.snapshot.Load().domains
	want := []string{
		names[1].Name + ": the shortest round trip (round trip 5ms, loss 0 %)",
		names[0].Name + ": tried too when the one before is silent for 250ms (round trip 20ms, loss 5 %, 94.1 Mbit/s)",
		names[2].Name + ": tried if the one before does not answer (3 connects in a row got no answer there)",
	}
	if diff := cmp.Diff(want, shown("192.0.2.80:443")); diff != "" {
		t.Errorf("explained (-want +got):\n%s", diff)
	}
	for _, other := range shown("198.51.100.80:443") {
		if len(other) > 80 {
			t.Errorf("another destination is explained by %q", other)
		}
	}
}
