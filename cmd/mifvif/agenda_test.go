package main

import (
	"testing"
	"testing/synctest"
	"time"

	"mifvif/pvd"
)

// TestWhatNetworksCauseIsDoneAtOnceUnlessItNeverStops has publishing take three
// milliseconds, and somebody who causes it all the time.
func TestWhatNetworksCauseIsDoneAtOnceUnlessItNeverStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const took = 3 * time.Millisecond
		a, b := newAgenda(), pvd.NewBuilder(pvd.Discovery{})
		defer a.timer.Stop()
		publish := func() time.Duration {
			began := time.Now()
			a.caused(0)
			<-a.timer.C
			waited := time.Since(began)
			began = time.Now()
			time.Sleep(took)
			a.done(began, b)
			return waited
		}
		if waited := publish(); waited != 0 {
			t.Errorf("the first waits for %v", waited)
		}
		storm := time.Now()
		for time.Since(storm) < time.Minute {
			if waited := publish(); waited > publishWithin {
				t.Fatalf("one waits for %v", waited)
			}
		}
		began, count := time.Now(), 0
		for ; time.Since(began) < time.Minute; count++ {
			publish()
		}
		if share := time.Minute / (time.Duration(count) * took); share < publishShare*9/10 {
			t.Errorf("one part in %d is spent on a storm, want one in %d", share, publishShare)
		}
		time.Sleep(publishCredit * publishShare)
		if waited := publish(); waited != 0 {
			t.Errorf("after a rest one waits for %v", waited)
		}
	})
}

// TestWhatTheHostDoesIsNotCounted has a host that changes all the time.
func TestWhatTheHostDoesIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newAgenda(), pvd.NewBuilder(pvd.Discovery{})
		defer a.timer.Stop()
		for range 1000 {
			began := time.Now()
			time.Sleep(3 * time.Millisecond)
			a.done(began, b)
		}
		began := time.Now()
		a.caused(0)
		<-a.timer.C
		if waited := time.Since(began); waited != 0 {
			t.Errorf("what a network causes waits for %v", waited)
		}
	})
}

func TestWhatNetworksSayIsGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgenda()
		defer a.timer.Stop()
		began := time.Now()
		a.caused(gather)
		time.Sleep(gather / 2)
		a.caused(gather)
		<-a.timer.C
		if waited := time.Since(began); waited != gather {
			t.Errorf("put in force after %v, want %v", waited, gather)
		}
	})
}
