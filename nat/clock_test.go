package nat

import (
	"testing"
	"time"
	"unsafe"
)

// stepped returns a time that is the same moment as now after somebody has set the
// clock by whole seconds: its wall clock differs and its monotonic one does not.
func stepped(now time.Time, by time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&now)) // a monotonic flag, 33 bits of seconds, 30 of nanoseconds
	*wall += uint64(by/time.Second) << 30
	return now
}

// TestSettingTheClockEndsNoBinding: a host without a battery learns the time from
// the network, when apps have long begun to talk.
func TestSettingTheClockEndsNoBinding(t *testing.T) {
	const year = 365 * 24 * time.Hour
	if now := time.Now(); stepped(now, year).Sub(now) != 0 || stepped(now, year).Unix() == now.Unix() {
		t.Skip("package time keeps its clocks in another way")
	}
	table, _, _ := newTable(t, Config{Max: 8, PerSource: 1})
	send(t, table, domain(0), app, echo(t, "127.0.0.1"), "x")
	set := func(clock func() time.Time) {
		table.mu.Lock()
		defer table.mu.Unlock()
		table.now = clock
	}
	set(func() time.Time { return stepped(time.Now(), year) })
	if table.sweep(); len(table.Flows()) != 1 {
		t.Fatal("a binding ended because the clock was set forward")
	}
	set(func() time.Time { return stepped(time.Now(), -year).Add(2 * udpIdle) })
	if table.sweep(); len(table.Flows()) != 0 {
		t.Error("an idle binding lives on because the clock was set back")
	}
}
