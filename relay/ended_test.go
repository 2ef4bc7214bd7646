package relay

import "testing"

func TestTheLastFlowsAreRemembered(t *testing.T) {
	r := new(Relay)
	for id := range uint64(maxEnded + 100) {
		r.flows.ended.add(Record{ID: id})
	}
	for id, want := range map[uint64]bool{0: false, 99: false, 100: true, maxEnded: true, maxEnded + 99: true, maxEnded + 100: false} {
		if rec, ok := r.Ended(id); ok != want || ok && (rec.ID != id || rec.State != "ended") {
			t.Errorf("flow %d: %v %v, want %v", id, rec, ok, want)
		}
	}
	if n := len(r.flows.ended.ring); n != maxEnded {
		t.Errorf("%d are kept, want %d", n, maxEnded)
	}
}
