package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mifvif/control"
	"mifvif/pvd"
)

func TestDrainedDomainsGetNoNewFlowsAndEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := pvd.NewSet([]*pvd.Domain{{Name: "a", State: pvd.Online}, {Name: "b", State: pvd.Online}, {Name: "c", Slot: 1, State: pvd.Offline}})
		d := drains{"b": {}, "c": {}}
		got := d.apply(set)
		for name, want := range map[string]pvd.State{"a": pvd.Online, "b": pvd.Draining, "c": pvd.Offline} {
			if s := got.ByName(name).State; s != want {
				t.Errorf("%s is %s, want %s", name, s, want)
			}
		}
		if set.ByName("b").State != pvd.Online {
			t.Error("the set that was published before has changed")
		}
		d["b"] = time.Now().Add(time.Minute)
		if d.over("a") || d.over("b") || d.over("c") {
			t.Error("over before the deadline")
		}
		want := "it was drained by hand, what is left ends at " + d["b"].Format(time.DateTime)
		if got := d.apply(set).ByName("b").Reason; got != want {
			t.Errorf("before the deadline: %s", got)
		}
		time.Sleep(time.Minute)
		if got := d.apply(set).ByName("b").Reason; got != "it was drained by hand, what was left has ended" {
			t.Errorf("after the deadline: %s", got)
		}
		if !d.over("b") || d.over("c") {
			t.Error("b's deadline has passed, c has none")
		}
	})
}

// TestDrainsInForceDoNotChange: relay asks those it was given last while the
// publisher takes the next order.
func TestDrainsInForceDoNotChange(t *testing.T) {
	now := time.Now()
	none := drains{}
	first := none.with(&control.Drain{PvD: "a", On: true}, now)
	second := first.with(&control.Drain{PvD: "b", On: true}, time.Time{})
	third := second.with(&control.Drain{PvD: "a"}, time.Time{})
	if diff := cmp.Diff([]drains{{}, {"a": now}, {"a": now, "b": {}}, {"b": {}}}, []drains{none, first, second, third}); diff != "" {
		t.Error(diff)
	}
}
