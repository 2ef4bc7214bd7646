package quota

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// fill takes places as a table does until h gets no more, and returns how many it
// got.
func fill(s *Shares, h Holder) int {
	for n := 0; ; n++ {
		as := h
		if h.kind == user && !s.Asks() {
			as = Holder{}
		}
		if s.Full() || s.Spent(as) {
			return n
		}
		s.Take(as)
	}
}

func TestNobodyHoldsMoreThanAShare(t *testing.T) {
	for name, first := range map[string]Holder{
		"a user": User(1000), "a LAN's host": Host(netip.MustParseAddr("192.168.1.2")), "nobody": Nobody(),
	} {
		s := New(1000, 0.66)
		if n := fill(s, first); n != 660 {
			t.Errorf("%s got %d of 1000 places, want 660", name, n)
		}
		if n := fill(s, User(1001)); n < 330 {
			t.Errorf("beside %s another user got %d places, want at least half a share", name, n)
		}
	}
}

func TestUsersAreAskedForWhereItMatters(t *testing.T) {
	s := New(1000, 0.66)
	for range 330 {
		if s.Asks() {
			t.Fatalf("asks with %d of 1000 places taken", s.taken)
		}
		s.Take(Holder{})
	}
	if !s.Asks() {
		t.Error("does not ask with a third of the places taken by nobody knows whom")
	}
	if whole := New(8, 1); fill(whole, User(1)) != 8 || whole.Asks() {
		t.Error("a share of all is all, and nobody need be asked for")
	}
}

func TestPlacesAreGivenBack(t *testing.T) {
	s := New(100, 0.5)
	var held []Holder
	for range 10_000 {
		if i := len(held) - 1; i >= 0 && rand.IntN(2) == 0 {
			s.Give(held[i])
			held = held[:i]
			continue
		}
		if h := []Holder{{}, User(1), User(2), Host(netip.MustParseAddr("2001:db8::1"))}[rand.IntN(4)]; !s.Full() && !s.Spent(h) {
			s.Take(h)
			held = append(held, h)
		}
		if s.taken != len(held) || s.taken > 100 {
			t.Fatalf("%d counted, %d held, of 100", s.taken, len(held))
		}
	}
	for _, h := range held {
		s.Give(h)
	}
	if s.taken != 0 || len(s.by) != 0 {
		t.Errorf("%d places and %d holders are left", s.taken, len(s.by))
	}
}

// TestManyUsersGetSomething: with any share, and whatever was taken unasked, a
// user who has nothing gets a place while there is one.
func TestManyUsersGetSomething(t *testing.T) {
	for _, part := range []float64{0.1, 0.3, 0.5, 0.66, 0.9} {
		s := New(1000, part)
		fill(s, User(1))
		if n := fill(s, User(2)); n < min(int(1000*part)/2, 1000-int(1000*part)) {
			t.Errorf("with shares of %g the second user got %d of 1000 places", part, n)
		}
	}
}
