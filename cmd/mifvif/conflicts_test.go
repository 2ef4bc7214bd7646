package main

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mifvif/config"
	"mifvif/nat"
	"mifvif/pvd"
	"mifvif/scheduler"
)

// TestEachConflictIsToldOnce: contradictions of rules, of rules and networks, and of
// networks.
func TestEachConflictIsToldOnce(t *testing.T) {
	domain := func(slot uint16, name, address string, preference pvd.Preference, behind ...string) *pvd.Domain {
		d := &pvd.Domain{
			Name: name, Slot: slot, Attached: 1, State: pvd.Online, Weight: 1, Internet: true,
			Addresses: []pvd.Address{{Prefix: netip.MustParsePrefix(address)}}, NextHops: []pvd.NextHop{{Preference: preference}},
		}
		for _, p := range behind {
			d.Prefixes = append(d.Prefixes, netip.MustParsePrefix(p))
		}
		return d
	}
	cfg, err := config.Parse("f.yaml", []byte("rules:\n  - {name: vpn, locked: true, match: {port: 1}, require: [b]}\n  - {name: web, match: {proto: tcp}, require: [a]}\n  - {name: mine, prefer: [a]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	c := newConflicts(func(kind, domain, detail string) { told = append(told, kind+" "+domain+": "+detail) })
	s := scheduler.New(scheduler.Config{Source: nat.SelectSource})
	s.Publish(pvd.NewSet([]*pvd.Domain{
		domain(0, "a", "10.1.0.2/24", pvd.Low, "198.51.100.0/24"), domain(1, "b", "10.2.0.2/24", pvd.Medium, "198.51.100.0/24", "203.0.113.0/24"),
	}), &cfg.Policy)
	for range 3 {
		c.look(cfg, s)
	}
	want := []string{
		`conflict : f.yaml:3:5: rule "web" is dropped where the locked rule "vpn" matches too: no domain satisfies both`,
		`conflict : "mine" stands above "router preference of a": its network asks to be used last, and the admin's rule stands above`,
	}
	if diff := cmp.Diff(want, told[:min(2, len(told))]); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if len(told) != 2 { // a rule requires a domain for TCP: nobody disputes the prefix there
		t.Errorf("told of %q", told)
	}
	told = nil
	s.Publish(pvd.NewSet([]*pvd.Domain{
		domain(0, "a", "10.1.0.2/24", pvd.Medium, "198.51.100.0/24"), domain(1, "b", "10.2.0.2/24", pvd.Medium, "198.51.100.0/24"),
		domain(2, "c", "10.1.0.3/24", pvd.Medium),
	}), &scheduler.Policy{Rules: []scheduler.Rule{{Name: "mine", Actor: scheduler.Admin, Prefer: []string{"b"}}}})
	c.look(cfg, s)
	want = []string{
		`conflict c: 10.1.0.0/24: "a" stands above "c": both claim the destination, and policy ranks a first`,
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
