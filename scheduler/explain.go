package scheduler

import (
	"mifvif/flow"
	"mifvif/pvd"
)

// Explanation is a decision with everything that was weighed.
type Explanation struct {
	Decision   Decision
	Candidates []Verdict
	Rules      []Spoken
	Conflicts  []Conflict
}

// Verdict is what became of one domain: "chosen", "next" (a candidate behind
// the chosen one) or "lost".
type Verdict struct{ Domain, Verdict, Reason string }

// Spoken is a rule that matched, with the effect it had.
type Spoken struct{ Name, Actor, Effect string }

// Conflict is a rule that was dropped because a stronger one stood against it.
type Conflict struct{ Winner, Loser, Reason string }

// trace collects an Explanation; a nil trace collects nothing.
type trace struct{ out Explanation }

func (t *trace) lost(d *pvd.Domain, why string) {
	if t != nil {
		t.out.Candidates = append(t.out.Candidates, Verdict{d.Name, "lost", why})
	}
}

func (t *trace) spoke(r *Rule) {
	if t != nil {
		t.out.Rules = append(t.out.Rules, Spoken{r.Name, r.Actor.String(), r.effect()})
	}
}

func (t *trace) conflict(winner, loser *Rule) {
	if t != nil {
		t.out.Conflicts = append(t.out.Conflicts, Conflict{winner.Name, loser.Name, "it would leave no domain"})
	}
}

// effect returns the strongest word of a rule.
func (r *Rule) effect() string {
	switch {
	case len(r.Require) > 0:
		return "require"
	case len(r.Forbid) > 0:
		return "forbid"
	case len(r.Prefer) > 0:
		return "prefer"
	}
	return "choose"
}

// Explain makes the decision for f as Pick would, without noting it, and returns
// all that was weighed. It allocates.
func (s *Scheduler) Explain(f flow.Flow) Explanation {
	t := new(trace)
	p := pick{snap: s.snapshot.Load(), flow: &f, source: s.source, trace: t}
	s.decide(&p)
	won := make([]Verdict, 0, p.dec.n)
	for i, c := range p.dec.Candidates() {
		v := Verdict{c.Domain.Name, "next", "tried if the one before does not answer"}
		if i == 0 {
			v = Verdict{c.Domain.Name, "chosen", p.dec.Reason}
		}
		won = append(won, v)
	}
	t.out.Candidates = append(won, t.out.Candidates...)
	t.out.Decision = p.dec
	return t.out
}
