package relay

import (
	"testing"

	"mifvif/pvd"
	"mifvif/scheduler"
)

func TestASilentCandidateIsNotTriedTwiceInARow(t *testing.T) {
	var all []scheduler.Candidate
	var keys []pvd.Key
	for slot := range uint16(3) {
		d := &pvd.Domain{Slot: slot, Attached: 1}
		all, keys = append(all, scheduler.Candidate{Domain: d}), append(keys, d.Key())
	}
	for _, test := range []struct {
		name   string
		silent []pvd.Key
		want   int
	}{
		{"at first", nil, 0},
		{"after the first", keys[:1], 1},
		{"after two", []pvd.Key{keys[1], keys[0]}, 2},
		{"where the order has changed", keys[2:], 0},
		{"after all", keys, 0},
		{"after one that is no candidate any more", []pvd.Key{{Slot: 9}}, 0},
	} {
		if got := untried(all, test.silent); got != all[test.want] {
			t.Errorf("%s: slot %d, want %d", test.name, got.Domain.Slot, test.want)
		}
	}
}
