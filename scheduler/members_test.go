package scheduler

import (
	"math/rand/v2"
	"testing"

	"mifvif/pvd"
)

// TestMembersAgainstMaps compares the sets of bits with sets as maps.
func TestMembersAgainstMaps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var a, b members
		inA, inB := map[int]bool{}, map[int]bool{}
		for range r.IntN(40) {
			i, j := r.IntN(pvd.MaxDomains), r.IntN(pvd.MaxDomains)
			a.add(i)
			b.add(j)
			inA[i], inB[j] = true, true
		}
		both, only := a.and(&b), a.without(&b)
		meets, seen := false, 0
		for i := range pvd.MaxDomains {
			meets = meets || inA[i] && inB[i]
			if a.has(i) != inA[i] || both.has(i) != (inA[i] && inB[i]) || only.has(i) != (inA[i] && !inB[i]) {
				t.Fatalf("place %d is wrong", i)
			}
		}
		for i := a.next(0); i >= 0; i = a.next(i + 1) {
			if !inA[i] {
				t.Fatalf("%d is no member", i)
			}
			seen++
		}
		if seen != len(inA) || a.empty() != (len(inA) == 0) || a.meets(&b) != meets {
			t.Fatalf("%d of %d members seen", seen, len(inA))
		}
	}
}
