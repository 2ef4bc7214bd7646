package pvd

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestHandlesFollowFromNames: they are all different, stay when other domains
// come and go, and are inside their ranges.
func TestHandlesFollowFromNames(t *testing.T) {
	var many []*Domain
	for i := range 300 {
		many = append(many, &Domain{Name: fmt.Sprint("d", i)})
	}
	seen := make(map[netip.Addr]bool)
	four := 0
	for name, h := range Handles(NewSet(many)) {
		if h.V4.IsValid() {
			four++
			if !netip.MustParsePrefix("198.18.1.0/24").Contains(h.V4) || seen[h.V4] {
				t.Errorf("%s has %v", name, h.V4)
			}
		}
		if !netip.MustParsePrefix("2001:2:0:1::/64").Contains(h.V6) || seen[h.V6] {
			t.Errorf("%s has %v", name, h.V6)
		}
		seen[h.V4], seen[h.V6] = true, true
	}
	if four != 254 {
		t.Errorf("%d have an IPv4 handle, want 254", four)
	}
	one, two := Handles(NewSet(many[:1])), Handles(NewSet(many[:2]))
	if one["d0"] != two["d0"] {
		t.Errorf("d0 has %v alone and %v beside d1", one["d0"], two["d0"])
	}
}
