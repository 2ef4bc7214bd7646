package pvd

import (
	"testing"
	"time"
)

// TestOneIDOnTwoLinksIsOneDomainWhereItWasProven: whoever sends advertisements can
// name any domain (RFC 7556 7).
func TestOneIDOnTwoLinksIsOneDomainWhereItWasProven(t *testing.T) {
	proof := func(link int) Report {
		now := time.Now()
		return Report{Origin: FromJSON, Ifindex: link, ID: "corp.example", Received: now, Until: now.Add(time.Hour), Zones: []Zone{{Name: "corp.example", Origin: FromJSON}}}
	}
	for _, tt := range []struct {
		title   string
		proven  []int
		trusted string // interface of a domain that the configuration trusts
		want    bool
	}{
		{"nowhere", nil, "", false},
		{"on one link", []int{2}, "", false},
		{"on both", []int{2, 3}, "", true},
		{"on one, and trusted on the other", []int{2}, "e2", true},
	} {
		k := new(kernel).link(2, "e1").addr(2, "2001:db8:a::10/64").link(3, "e2").addr(3, "2001:db8:b::10/64")
		discovery := usual()
		if tt.trusted != "" {
			discovery.Declarations = []Declaration{{Name: "corp.example", Interface: tt.trusted, Trusted: yes()}}
		}
		b := NewBuilder(discovery)
		b.Build(k.State, Inputs{})
		b.Learn(ra("on", "2", "via", "fe80::a", "id", "corp.example", "pio", "2001:db8:a::/64"))
		b.Learn(ra("on", "3", "via", "fe80::b", "id", "corp.example", "pio", "2001:db8:b::/64"))
		for _, link := range tt.proven {
			b.Learn(proof(link))
		}
		set := b.Build(k.State, Inputs{})
		instances := 0
		for _, d := range set.All() {
			if d.ID != "corp.example" {
				continue
			}
			instances++
			if d.Shared != tt.want || len(d.Addresses) != 1 {
				t.Errorf("%s: shared %v with %d addresses: %s", tt.title, d.Shared, len(d.Addresses), describe(d))
			}
		}
		if instances != 2 {
			t.Errorf("%s: %d instances: %v", tt.title, instances, lines(set))
		}
	}
	// Two domains of one link are not several links.
	same := []*Domain{{ID: "a", Explicit: true, Trust: Trusted, Interface: "e1"}, {ID: "a", Explicit: true, Trust: Trusted, Interface: "e1"}, {ID: "b", Trust: Trusted, Interface: "e2"}}
	share(same)
	for _, d := range same {
		if d.Shared {
			t.Errorf("%+v is shared", d)
		}
	}
}
