package main

import (
	"slices"
	"testing"
	"time"

	"mifvif/pvd"
	"mifvif/scheduler"
)

func TestCapsBeginAnewOnTheirDay(t *testing.T) {
	for _, tt := range []struct {
		day       int
		now, want string
	}{
		{15, "2026-11-24 10:00", "2026-11-15"},
		{15, "2026-11-15 00:00", "2026-11-15"},
		{15, "2026-11-14 23:59", "2026-10-15"},
		{31, "2026-11-30 08:00", "2026-11-30"},
		{31, "2026-11-29 08:00", "2026-10-31"},
		{31, "2026-03-01 00:00", "2026-02-28"},
		{1, "2026-01-01 00:00", "2026-01-01"},
		{2, "2026-01-01 12:00", "2025-12-02"},
	} {
		now, err := time.Parse("2006-01-02 15:04", tt.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := beginning(tt.day, now).Format(time.DateOnly); got != tt.want {
			t.Errorf("day %d at %s: %s, want %s", tt.day, tt.now, got, tt.want)
		}
	}
}

func TestSpentCapsAreSaid(t *testing.T) {
	domains := []*pvd.Domain{{Name: "a", Slot: 1, Cap: pvd.Cap{Bytes: 1, Stop: true}}, {Name: "b", Slot: 2, Cap: pvd.Cap{Bytes: 1}}, {Name: "c", Slot: 3, Cap: pvd.Cap{Bytes: 1}}}
	got := spentCaps(domains, func(k pvd.Key) scheduler.Load { return scheduler.Load{Spent: k.Slot != 3} })
	want := []string{"a has used up its data cap: it gets no new flows", "b has used up its data cap: it is used only where nothing else is left"}
	if !slices.Equal(got, want) {
		t.Errorf("said is %q, want %q", got, want)
	}
}

// TestCapsAreCountedAcrossRestarts writes the ledger and reads it again.
func TestCapsAreCountedAcrossRestarts(t *testing.T) {
	dir, c, now := t.TempDir(), pvd.Cap{Bytes: 1000, ResetDay: 15}, time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	open := func() *ledger {
		l, err := openLedger(dir)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	if l.add("lte", c, 999, now) || l.add("fiber", pvd.Cap{}, 5000, now) {
		t.Error("used up too early, or without a cap")
	}
	if err := l.write(); err != nil {
		t.Fatal(err)
	}
	if l = open(); !l.add("lte", c, 1, now.Add(time.Hour)) {
		t.Error("999 and 1 of 1000 octets are not all of them: what was before the restart does not count")
	}
	if l.add("lte", c, 1, now.AddDate(0, 0, 21)) {
		t.Error("still used up on the day it begins anew")
	}
}
