package relay

import (
	"testing"

	"mifvif/flow"
	"mifvif/nat"
	"mifvif/pvd"
)

func TestTheLastFlowsAreRemembered(t *testing.T) {
	p, d := NewPast(), new(pvd.Domain)
	for id := range uint64(maxEnded + 100) {
		if id%2 == 0 {
			p.Add(Record{ID: id, Domain: d, Flow: flow.Flow{Proto: flow.TCP}})
		} else {
			p.Binding(nat.Record{ID: id, Domain: d, Flow: flow.Flow{Proto: flow.ICMP}, Rule: "r", TxBytes: id})
		}
	}
	for id, want := range map[uint64]bool{0: false, 99: false, 100: true, 101: true, maxEnded: true, maxEnded + 99: true, maxEnded + 100: false} {
		tcp := id%2 == 0
		rec, ok := p.Find(tcp, id)
		if ok != want || ok && (rec.ID != id || rec.State != "ended" || !tcp && (rec.Rule != "r" || rec.TxBytes != id)) {
			t.Errorf("flow %d: %v %v, want %v", id, rec, ok, want)
		}
		if _, ok := p.Find(!tcp, id); ok {
			t.Errorf("flow %d is found as one of another protocol", id)
		}
	}
}

func TestRememberingDoesNotAllocate(t *testing.T) {
	p, b := NewPast(), nat.Record{ID: 1, Domain: new(pvd.Domain)}
	if n := testing.AllocsPerRun(1000, func() { p.Binding(b) }); n != 0 {
		t.Errorf("%v allocations for each flow that ends", n)
	}
}
