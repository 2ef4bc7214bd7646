package relay

import (
	"testing"
	"time"
)

// TestManyMultipathFlowsAreLookedAtTogether: each look goes through all there are, so
// that there must not be one for each.
func TestManyMultipathFlowsAreLookedAtTogether(t *testing.T) {
	const flows, span = 4000, 10 * time.Second
	var k keeper
	k.init()
	began := time.Now()
	for i := range flows {
		e := new(entry)
		k.kept[e] = &bundle{entry: e, due: began.Add(lookLater * time.Duration(i) / flows)}
	}
	looks, rounds := 0, 0
	for now := began; now.Before(began.Add(span)); now = k.next(now) {
		rounds++
		for _, b := range k.due(now, false) {
			looks++
			if late := now.Sub(b.due); late > lookSoon {
				t.Fatalf("looked at %v late", late)
			}
			b.due = now.Add(lookLater)
		}
	}
	if least := flows * int(span/lookLater) * 9 / 10; looks < least {
		t.Errorf("%d looks in %v, want %d", looks, span, least)
	}
	if most := int(span / (lookSoon / 2)); rounds > most {
		t.Errorf("%d rounds in %v, want %d at the most", rounds, span, most)
	}
}

// TestNewMultipathFlowsWakeNobodyWhoWillLookInTime.
func TestNewMultipathFlowsWakeNobodyWhoWillLookInTime(t *testing.T) {
	var k keeper
	k.init()
	wakes := 0
	for range 1000 {
		k.add(&bundle{entry: new(entry)})
		select {
		case <-k.news:
			wakes++
			k.next(time.Now())
		default:
		}
	}
	if wakes < 1 || wakes > 10 {
		t.Errorf("%d of 1000 new flows have all of them gone through, want the first, and those of another time", wakes)
	}
	k.next(time.Now().Add(time.Hour))
	k.add(&bundle{entry: new(entry)})
	if len(k.news) != 1 {
		t.Error("a new flow that is due long before all others wakes nobody")
	}
}
