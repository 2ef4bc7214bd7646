package scheduler

import (
	"fmt"
	"slices"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// Explanation is a decision with everything that was weighed.
type Explanation struct {
	Decision   Decision
	Candidates []Verdict // every domain there is, in the order of the decision, then as they lost
	Rules      []Spoken  // every rule that matched first inside its actor, strongest first
	Conflicts  []Conflict
	Multipath  string // why Multipath TCP or why not, "" for other protocols and for what is refused
	Path       string // why TCP is terminated or translated, "" likewise
}

// Verdict is what became of one domain: "chosen", "next" (a candidate behind
// the chosen one) or "lost".
type Verdict struct{ Domain, Verdict, Reason string }

// Spoken is a rule that matched, with the effect it had: "require", "forbid",
// "prefer", "choose" (an algorithm only) or "dropped". What a network says of
// itself is a rule of its operator, with the reason why it has that effect:
// "prefer", "avoid", "claim", "restrict", "choose" or "dropped".
type Spoken struct{ Name, Actor, Effect, Reason string }

// Conflict is a rule that was dropped because a stronger one stood against it.
type Conflict struct{ Winner, Loser, Reason string }

// Explain makes the decision for f as Pick would, without noting it, and returns
// all that was weighed. It allocates.
func (s *Scheduler) Explain(f flow.Flow) Explanation {
	snap := s.snapshot.Load()
	p := pick{Scheduler: s, snap: snap, flow: s.about(f, snap), trace: new(trace)}
	p.decide()
	p.operators()
	out := p.trace.out
	var named []Verdict
	for i, c := range p.dec.Candidates() {
		if i == 0 {
			named = append(named, Verdict{c.Domain.Name, "chosen", p.dec.Reason + p.shown(c.Domain)})
			continue
		}
		why := "tried if the one before does not answer"
		switch {
		case p.flow.proto != flow.TCP: // nobody sees whether datagrams are answered
			why = "tried if the one before cannot be used"
		case i < p.dec.Race:
			why = "tried too when the one before is silent for " + p.dec.RaceAfter.String()
		}
		named = append(named, Verdict{c.Domain.Name, "next", why + p.shown(c.Domain)})
	}
	out.Candidates = append(named, out.Candidates...)
	out.Decision, out.Multipath, out.Path = p.dec, p.whyMultipath(), p.whyPath()
	return out
}

// shown says what flows have shown of the path in d, "" if they have not.
func (p *pick) shown(d *pvd.Domain) string {
	t, age, ok := p.paths.lookup(d.Key(), p.prefix)
	switch {
	case !ok || p.flow.dst.IsUnspecified():
		return ""
	case t.failing(age):
		return fmt.Sprintf(" (%d connects in a row got no answer there)", t.failures)
	case t.rtt == 0:
		return ""
	}
	said := fmt.Sprintf(" (round trip %v, loss %.0f %%", t.rtt.Round(100*time.Microsecond), t.loss*100)
	if t.rate > 0 {
		said += fmt.Sprintf(", %.3g Mbit/s", float64(t.rate)/1e6)
	}
	return said + ")"
}

// trace collects an Explanation; a nil trace collects nothing.
type trace struct{ out Explanation }

func (t *trace) lost(d *pvd.Domain, why string) {
	if t != nil {
		t.out.Candidates = append(t.out.Candidates, Verdict{d.Name, "lost", why})
	}
}

// unusable notes the domains that are no candidates from the start.
func (t *trace) unusable(p *pick) {
	if t == nil {
		return
	}
	for i, d := range p.snap.domains {
		if !p.left.has(i) {
			t.lost(d, unusable(d, p.flow.family == 1))
		}
	}
}

// unusable says why a domain takes no flows of the family.
func unusable(d *pvd.Domain, is6 bool) string {
	switch {
	case d.State != pvd.Online && d.State != pvd.Degraded && d.Reason != "":
		return "it is " + string(d.State) + ": " + d.Reason
	case d.State != pvd.Online && d.State != pvd.Degraded:
		return "it is " + string(d.State)
	case !d.HasSource(is6):
		return "it has no address of this family"
	}
	return "it has no next hop of this family"
}

// narrowed notes the candidates that are not in the part that stays.
func (t *trace) narrowed(p *pick, in members, why string) {
	if t == nil {
		return
	}
	out := p.left.without(&in)
	for i := out.next(0); i >= 0; i = out.next(i + 1) {
		t.lost(p.snap.domains[i], why)
	}
}

// removed notes the candidates that a rule takes away.
func (t *trace) removed(p *pick, left members, r *rule) {
	if t == nil {
		return
	}
	out := p.left.without(&left)
	for i := out.next(0); i >= 0; i = out.next(i + 1) {
		why := "rule " + quoted(r) + " requires another"
		if r.forbid.has(i) {
			why = "rule " + quoted(r) + " forbids it"
		}
		t.lost(p.snap.domains[i], why)
	}
}

func (t *trace) spoke(r *rule) {
	if t != nil {
		t.out.Rules = append(t.out.Rules, Spoken{Name: r.Name, Actor: r.Actor.String(), Effect: r.effect()})
	}
}

func (t *trace) conflict(winner, loser *rule) {
	if t == nil {
		return
	}
	t.out.Rules = append(t.out.Rules, Spoken{Name: loser.Name, Actor: loser.Actor.String(), Effect: "dropped"})
	t.out.Conflicts = append(t.out.Conflicts, droppedFor(winner, loser))
}

// preferring returns the strongest rule that prefers the first candidate, or nil.
func (p *pick) preferring() *rule {
	for _, r := range p.spoke {
		if r != nil && slices.Contains(r.Prefer, p.dec.candidates[0].Domain.Name) {
			return r
		}
	}
	return nil
}

func quoted(r *rule) string { return `"` + r.Name + `"` }
