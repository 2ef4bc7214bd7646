package nat

import (
	"testing"
	"time"
)

func TestAFloodIsToldFromAConversation(t *testing.T) {
	for _, test := range []struct {
		name    string
		every   time.Duration // between two calls
		packets uint64        // of each call
		paced   bool          // that it is after ten milliseconds, if it was not before
		stays   bool          // that it is then, if it was before
	}{
		{"round trips of 140 us", 140 * time.Microsecond, 1, false, false},
		{"one datagram every 40 us", 40 * time.Microsecond, 1, true, true},
		{"one looked for every 100 us", 100 * time.Microsecond, 1, false, true},
		{"a burst every 2 ms", 2 * time.Millisecond, 50, false, true},
		{"looked for in vain", 100 * time.Microsecond, 0, false, false},
	} {
		for _, before := range []bool{false, true} {
			now := time.Unix(1, 0)
			f := flood{since: now, paced: before}
			for range 10 * time.Millisecond / test.every {
				now = now.Add(test.every)
				f.paced = f.note(now, test.packets)
			}
			want := test.paced
			if before {
				want = test.stays
			}
			if f.paced != want {
				t.Errorf("%s, paced before %v: paced %v, want %v", test.name, before, f.paced, want)
			}
		}
	}
}
