package scheduler

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"mifvif/pvd"
)

// seconds feeds a scheduler what a domain carries and what connects show.
type seconds struct {
	*Scheduler
	on, other *pvd.Domain
}

// pass measures one second, in which each connect took as long as it says.
func (s seconds) pass(down uint64, connects ...time.Duration) {
	for _, rtt := range connects {
		s.Learn(s.on.Key(), netip.MustParseAddr("192.0.2.80"), Sample{RTT: rtt})
	}
	time.Sleep(time.Second)
	s.Measure(map[pvd.Key]Load{s.on.Key(): {Down: down}, s.other.Key(): {}})
}

func (s seconds) wants(t *testing.T, name, when string) {
	t.Helper()
	if got := first(s.Scheduler, to("192.0.2.80:443", "")); got != name {
		t.Errorf("%s: on %s, want %s", when, got, name)
	}
}

// TestOverflowFindsWhatNobodyHasDeclared: an uplink is full at the rate at which
// its connects begin to queue, and nothing else makes it so.
func TestOverflowFindsWhatNobodyHasDeclared(t *testing.T) {
	const quick, queued = 20 * time.Millisecond, 90 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		domains := weighted(1, 1)
		s := seconds{house(Policy{Algorithm: Overflow, Order: []string{"w0", "w1"}}, domains...), domains[0], domains[1]}
		s.pass(0, quick)
		s.pass(19e6, quick, quick)
		s.wants(t, "w0", "much is carried and nothing queues")
		s.pass(20e6, queued)
		s.wants(t, "w0", "one slow connect may have had a slow server")
		s.pass(20e6, quick, 3*time.Second, queued)
		s.wants(t, "w0", "not in a row: a quick one and a lost SYN between")
		s.pass(20e6, queued)
		s.wants(t, "w1", "two in a row")
		s.pass(18_100_000)
		s.wants(t, "w1", "more than nine tenths of what it carries")
		s.pass(17_900_000)
		s.wants(t, "w0", "less than nine tenths")
		s.pass(19e6)
		s.wants(t, "w1", "what was found is remembered")
		s.pass(25e6)
		s.wants(t, "w0", "it carries more: it was not full")
		s.pass(20e6, queued, queued)
		s.wants(t, "w1", "found again")
		time.Sleep(pathFor)
		s.pass(20e6)
		s.wants(t, "w0", "too long ago to be believed")
		s.pass(50_000, queued, queued)
		s.wants(t, "w0", "next to nothing is carried: what is slow is not the uplink")
	})
}

func TestAPathThatBecomesLongerIsNotFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		domains := weighted(1, 1)
		s := seconds{house(Policy{Algorithm: Overflow, Order: []string{"w0", "w1"}}, domains...), domains[0], domains[1]}
		s.pass(0, 20*time.Millisecond)
		for range 100 {
			s.pass(10e6, 120*time.Millisecond)
		}
		time.Sleep(pathFor - time.Second)
		s.pass(10e6, 120*time.Millisecond)
		s.wants(t, "w0", "the way has been longer for a hundred connects")
	})
}
