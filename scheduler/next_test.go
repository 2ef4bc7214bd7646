package scheduler

import (
	"testing"

	"mifvif/flow"
)

// TestOnlyTCPIsTriedAside: nobody waits for an answer to a datagram.
func TestOnlyTCPIsTriedAside(t *testing.T) {
	s := house(Policy{Algorithm: Weighted}, lines(2)...)
	for proto, want := range map[flow.Proto]string{
		flow.TCP:  "tried too when the one before is silent for 250ms",
		flow.UDP:  "tried if the one before cannot be used",
		flow.ICMP: "tried if the one before cannot be used",
	} {
		f := to("192.0.2.80:443", "")
		f.Proto = proto
		all := s.Explain(f).Candidates
		if len(all) != 2 || all[1].Verdict != "next" || all[1].Reason != want {
			t.Errorf("%v: %+v, want the second %q", proto, all, want)
		}
	}
}
