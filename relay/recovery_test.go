package relay

import (
	"net/netip"
	"testing"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
	"mifvif/scheduler"
)

// TestFlowsLeaveWhenTheyMay follows one flow, second by second, after a better
// domain is back.
func TestFlowsLeaveWhenTheyMay(t *testing.T) {
	better := &pvd.Domain{Name: "better"}
	const deadline = 60
	cases := map[string]struct {
		what scheduler.OnRecovery
		busy int // seconds in which bytes pass
		back int // at which the better domain is gone again, 0 for never
		want int // at which it leaves, 0 for never
	}{
		"stay":                          {scheduler.RecoverStay, 5, 0, 0},
		"reset":                         {scheduler.RecoverReset, 100, 0, 1},
		"idle from the beginning":       {scheduler.RecoverMoveIdle, 0, 0, 11},
		"idle after a while":            {scheduler.RecoverMoveIdle, 20, 0, 30},
		"busy until the deadline":       {scheduler.RecoverMoveIdle, 100, 0, deadline},
		"the better one is gone before": {scheduler.RecoverMoveIdle, 20, 25, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			start, left := time.Unix(1_000_000, 0), 0
			what := scheduler.Recovery{What: c.what, Better: better, Until: start.Add(deadline * time.Second)}
			r := recovery{judge: func(*mover) scheduler.Recovery { return what }}
			version, bytes := uint64(1), uint64(0)
			for second := 1; second <= 100 && left == 0; second++ {
				if second <= c.busy {
					bytes += 1000
				}
				if second == c.back {
					version, what = version+1, scheduler.Recovery{What: scheduler.RecoverStay}
				}
				live := func() []mover { return []mover{{binding: 7, bytes: bytes}} }
				for m, to := range r.look(version, start.Add(time.Duration(second)*time.Second), live) {
					if left = second; m.binding != 7 || to != better {
						t.Errorf("binding %d leaves for %v", m.binding, to)
					}
				}
			}
			if left != c.want {
				t.Errorf("left after %d seconds, want %d", left, c.want)
			}
		})
	}
}

// TestFlowsAreNotLookedAtForNothing: only a change of what is published, or a flow
// that waits, is a reason.
func TestFlowsAreNotLookedAtForNothing(t *testing.T) {
	looked := 0
	live := func() []mover { looked++; return []mover{{binding: 7}} }
	r := recovery{judge: func(*mover) scheduler.Recovery { return scheduler.Recovery{What: scheduler.RecoverStay} }}
	for version := range uint64(3) {
		for second := range 10 {
			r.look(version+1, time.Unix(int64(version)*10+int64(second), 0), live)
		}
	}
	if looked != 3 {
		t.Errorf("all flows were looked at %d times, want once for each of 3 versions", looked)
	}
}

// told keeps what News says.
type told struct{ moved chan string }

func (n told) Moved(f flow.Flow, from, to *pvd.Domain, why string) {
	n.moved <- f.Dst.String() + " " + from.Name + " -> " + to.Name + " " + why
}

func (n told) Refused(flow.Flow, string) {}

// TestATCPFlowIsResetForABetterDomain has domain a come back over a flow on b.
func TestATCPFlowIsResetForABetterDomain(t *testing.T) {
	w := newWorld(t, 8, "a", "b")
	news := told{make(chan string, 1)}
	w.relay.cfg.News = news
	dial, far := listen(t)
	w.uplinks.dial = dial
	policy := scheduler.Policy{Algorithm: scheduler.Priority, Order: []string{"a", "b"}, OnRecovery: scheduler.RecoverReset}
	w.relay.cfg.Scheduler.Publish(pvd.NewSet(w.set.All()[1:]), &policy)
	w.open(1000)
	defer func() { (<-far).Close() }()
	eventually(t, "the flow is listed", func() bool { return len(w.relay.Flows()) == 1 })
	if on := w.relay.Flows()[0].Domain.Name; on != "b" {
		t.Fatalf("the flow is on %s, want b", on)
	}
	w.relay.cfg.Scheduler.Publish(w.set, &policy)
	if got := w.word(); got != "reset" {
		t.Errorf("the app hears %q, want a reset", got)
	}
	if got, want := <-news.moved, netip.AddrPortFrom(server, 80).String()+" b -> a recovery"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	eventually(t, "the place is given back", func() bool { return len(w.relay.Flows()) == 0 })
}

// TestNobodyIsAskedWhereNothingIsBack: whose sockets there are costs system calls.
func TestNobodyIsAskedWhereNothingIsBack(t *testing.T) {
	w := newWorld(t, 8, "a")
	asked := 0
	w.relay.cfg.Owners = counted{&asked}
	m := mover{flow: flow.Flow{Proto: flow.UDP, Src: netip.AddrPortFrom(own, 1), Dst: netip.AddrPortFrom(server, 53)}, on: w.set.All()[0], decided: time.Now()}
	if got := w.relay.judge(&m); got.What != scheduler.RecoverStay || asked != 0 {
		t.Errorf("judged as %+v after %d questions, want it to stay after none", got, asked)
	}
}

// counted counts how often it is asked.
type counted struct{ asked *int }

func (c counted) Owner(flow.Flow) flow.Owner {
	*c.asked++
	return flow.Owner{}
}
