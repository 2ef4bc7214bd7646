package scheduler

import (
	"testing"
	"testing/synctest"
	"time"

	"mifvif/pvd"
)

// again returns the same network as another attachment, as after a failure.
func again(d *pvd.Domain) *pvd.Domain {
	back := *d
	back.Attached++
	return &back
}

// TestRecovery has fiber fail and come back under a flow that went to lte
// meanwhile.
func TestRecovery(t *testing.T) {
	const deadline = 10 * time.Minute
	moveIdle := Policy{OnRecovery: RecoverMoveIdle, RecoveryDeadline: deadline}
	with := func(p Policy, change func(*Policy)) Policy { change(&p); return p }
	prefer := []Rule{{Name: "first", Actor: Admin, Prefer: []string{"fiber"}}}
	cases := map[string]struct {
		policy Policy
		want   OnRecovery
	}{
		"by preference":      {with(moveIdle, func(p *Policy) { p.Rules = prefer }), RecoverMoveIdle},
		"by order":           {with(moveIdle, func(p *Policy) { p.Algorithm, p.Order = Priority, []string{"fiber"} }), RecoverMoveIdle},
		"overflow, not full": {with(moveIdle, func(p *Policy) { p.Algorithm, p.Order = Overflow, []string{"fiber"} }), RecoverMoveIdle},
		"at once":            {Policy{OnRecovery: RecoverReset, Rules: prefer}, RecoverReset},
		"the rule says so": {Policy{Rules: []Rule{{
			Name: "first", Actor: Admin, Prefer: []string{"fiber"}, OnRecovery: RecoverMoveIdle, RecoveryDeadline: deadline,
		}}}, RecoverMoveIdle},
		"the rule says stay": {with(moveIdle, func(p *Policy) {
			p.Rules = []Rule{{Name: "first", Actor: Admin, Prefer: []string{"fiber"}, OnRecovery: RecoverStay}}
		}), RecoverStay},
		"nothing is said":              {Policy{Rules: prefer}, RecoverStay},
		"equals by weight":             {moveIdle, RecoverStay},
		"the other is better":          {with(moveIdle, func(p *Policy) { p.Rules = []Rule{{Name: "last", Actor: Admin, Prefer: []string{"lte"}}} }), RecoverStay},
		"persistent stays in the rank": {with(moveIdle, func(p *Policy) { p.Algorithm, p.Order = Persistent, []string{"fiber"} }), RecoverStay},
		"forbidden":                    {with(moveIdle, func(p *Policy) { p.Rules = []Rule{{Name: "no", Actor: Admin, Forbid: []string{"fiber"}}} }), RecoverStay},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				domains := two()
				s := house(c.policy, domains[1])
				f := to("192.0.2.80:443", "www.example.com")
				d := s.Pick(f)
				on, decided := d.Candidates()[0].Domain.Key(), time.Now()
				time.Sleep(time.Minute)
				if got := s.Recover(f, on, decided); got.What != RecoverStay {
					t.Errorf("while fiber is away: %+v", got)
				}
				back := time.Now()
				set := pvd.NewSet([]*pvd.Domain{again(domains[0]), domains[1]})
				s.Publish(set, &c.policy)
				time.Sleep(time.Minute)
				s.Publish(set, &c.policy) // of something else
				got := s.Recover(f, on, decided)
				if got.What != c.want || (got.Better != nil) != (c.want != RecoverStay) {
					t.Errorf("when fiber is back: %+v, want %d", got, c.want)
				}
				if until := back.Add(deadline); c.want == RecoverMoveIdle && !got.Until.Equal(until) {
					t.Errorf("ends at %v, want %v", got.Until, until)
				}
				if late := s.Recover(f, on, time.Now()); late.What != RecoverStay {
					t.Errorf("a flow of after the recovery: %+v", late)
				}
				if allocs := testing.AllocsPerRun(10, func() { s.Recover(f, on, decided) }); allocs != 0 {
					t.Errorf("%v allocations", allocs)
				}
			})
		})
	}
}

// TestADomainThatIsWholeAgainIsBack: what was degraded and is not any more counts,
// what has become worse does not.
func TestADomainThatIsWholeAgainIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := Policy{OnRecovery: RecoverReset}
		fiber, lte := two()[0], two()[1]
		worse := *fiber
		worse.State = pvd.Degraded
		s := house(policy, &worse, lte)
		f := to("192.0.2.80:443", "")
		if on := first(s, f); on != "lte" {
			t.Fatalf("on %s, want lte", on)
		}
		decided := time.Now()
		time.Sleep(time.Second)
		s.Publish(pvd.NewSet([]*pvd.Domain{fiber, lte}), &policy)
		if got := s.Recover(f, lte.Key(), decided); got.What != RecoverStay {
			t.Errorf("equal again, not better: %+v", got)
		}
		preferred := Policy{OnRecovery: RecoverReset, Rules: []Rule{{Name: "first", Actor: Admin, Prefer: []string{"fiber"}}}}
		s.Publish(pvd.NewSet([]*pvd.Domain{fiber, lte}), &preferred)
		if got := s.Recover(f, lte.Key(), decided); got.What != RecoverReset || got.Better.Name != "fiber" {
			t.Errorf("whole again: %+v, want fiber", got)
		}
		before := s.Version()
		time.Sleep(time.Second)
		decided = time.Now()
		s.Publish(pvd.NewSet([]*pvd.Domain{&worse, lte}), &preferred)
		if got := s.Recover(f, lte.Key(), decided); got.What != RecoverStay {
			t.Errorf("worse: %+v", got)
		}
		if s.Version() == before {
			t.Error("Publish has not changed the version")
		}
	})
}
