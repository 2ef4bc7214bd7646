package scheduler

import "testing"

// TestWhatADecisionDropsIsToldOnce: rules that leave nothing of the domains there
// are, but could of others; those that never could are known beforehand.
func TestWhatADecisionDropsIsToldOnce(t *testing.T) {
	s := house(Policy{Rules: []Rule{
		{Name: "mine", Actor: User, Match: Match{Users: []uint32{0}}, Forbid: []string{"fiber"}},
		{Name: "sure", Actor: Admin, Match: Match{Ports: []PortRange{{1, 1}}}, Require: []string{"fiber"}},
		{Name: "house", Actor: Admin, Forbid: []string{"lte"}},
	}}, two()...)
	f, sure := to("192.0.2.80:443", ""), to("192.0.2.80:1", "")
	f.Owner.Known, sure.Owner.Known = true, true
	s.Explain(f) // is not a decision
	if n := len(s.Dropped()); n != 0 {
		t.Errorf("%d conflicts are told of a question", n)
	}
	for range 3 {
		if got := names(s.Pick(f)); got != "lte" {
			t.Fatalf("goes to %q, want lte", got)
		}
		s.Pick(sure)
	}
	want := Conflict{"mine", "house", "no domain satisfies both, and the user's rule stands above"}
	select {
	case got := <-s.Dropped():
		if got != want {
			t.Errorf("told %v, want %v", got, want)
		}
	default:
		t.Fatal("nothing is told of what was dropped")
	}
	if n := len(s.Dropped()); n != 0 {
		t.Errorf("%d more are told", n)
	}
	if n := testing.AllocsPerRun(100, func() { s.Pick(f) }); n != 0 {
		t.Errorf("a decision that drops a rule allocates %v times", n)
	}
}
