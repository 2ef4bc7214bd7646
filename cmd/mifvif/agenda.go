package main

import (
	"time"

	"mifvif/pvd"
)

// Publishing takes the processor from those it is done for, and networks can cause
// it: they advertise what they like as often as they like, and the kernel takes on
// what routers say. What they cause is done at once while it is seldom; if it is not,
// it gets one part in publishShare of the time, and what is said meanwhile is in
// the next set. What the host itself changes, what is lost and what we have found out
// is never waited for, and takes nothing of that time.
const (
	publishShare  = 200
	publishCredit = 50 * time.Millisecond // of publishing in one go
	publishWithin = time.Second           // the longest wait
	// gather is how long a network that speaks is listened to before.
	gather = 30 * time.Millisecond
)

// agenda says when to publish for the sake of time alone: what networks have caused,
// and what is over.
type agenda struct {
	timer  *time.Timer
	due    time.Time     // zero: nothing is
	spends bool          // what is due was caused by a network
	saved  time.Duration // of publishing time, at most publishCredit; may be owed
	asOf   time.Time
}

func newAgenda() *agenda {
	a := &agenda{timer: time.NewTimer(time.Hour), saved: publishCredit, asOf: time.Now()}
	a.timer.Stop()
	return a
}

// by has the timer fire at a time at the latest.
func (a *agenda) by(at time.Time) {
	if a.due.IsZero() || at.Before(a.due) {
		a.due = at
		a.timer.Reset(time.Until(at))
	}
}

// caused has something that a network caused put in force: after a while, and not
// before there is time for it again.
func (a *agenda) caused(after time.Duration) {
	now := time.Now()
	a.save(now)
	a.spends = true
	a.by(now.Add(max(after, min(-a.saved*publishShare, publishWithin))))
}

// save adds what time has given.
func (a *agenda) save(now time.Time) {
	a.saved = min(a.saved+now.Sub(a.asOf)/publishShare, publishCredit)
	a.asOf = now
}

// done notes that all was published just now, which took from began until now,
// and when it has to be again.
func (a *agenda) done(began time.Time, b *pvd.Builder) {
	now := time.Now()
	a.save(now)
	if a.spends && !a.due.After(began) {
		a.saved -= now.Sub(began)
	}
	a.due, a.spends = time.Time{}, false
	a.timer.Stop()
	if at, ok := b.Deadline(); ok {
		a.by(at)
	}
}
