package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mifvif/control"
	"mifvif/netwatch"
	"mifvif/pvd"
)

func TestHoldingsHaveOriginAndLifetime(t *testing.T) {
	now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	in := now.Add(90 * time.Second)
	addr, prefix := netip.MustParseAddr("2001:db8::53"), netip.MustParsePrefix("2001:db8::/64")
	d := &pvd.Domain{
		Addresses: []pvd.Address{{Prefix: prefix, Valid: netwatch.Forever, Origin: pvd.FromKernel, Deprecated: true}},
		NextHops:  []pvd.NextHop{{Addr: addr, Origin: pvd.FromRA, Until: in, Preference: pvd.High}},
		Adverts:   []pvd.Advert{{Prefix: prefix, Router: addr, OnLink: true, Until: in, Preferred: now}},
		Routes:    []pvd.Route{{Dst: prefix, Via: addr, Origin: pvd.FromDHCPv4, Until: now.Add(-time.Second)}},
		Resolvers: []pvd.Resolver{{Addr: netip.AddrPortFrom(addr, 853), Transport: pvd.DoT, Name: "r.example", Origin: pvd.FromDHCPv6}},
		Zones:     []pvd.Zone{{Name: "corp.example.com", Origin: pvd.FromJSON, Until: in}},
		PREF64:    []pvd.PREF64{{Prefix: prefix, Origin: pvd.FromRA, Until: in}},
		Portal:    pvd.PortalAPI{URI: "https://cp.example.net/api", Origin: pvd.FromRA},
	}
	left, none := 90.0, 0.0
	want := []control.Object{
		{Kind: "address", Value: "2001:db8::/64", Origin: "kernel", Flags: []string{"deprecated"}},
		{Kind: "next_hop", Value: "2001:db8::53", Origin: "ra", Lifetime: &left, Flags: []string{"high"}},
		{Kind: "advert", Value: "2001:db8::/64 by 2001:db8::53", Origin: "ra", Lifetime: &left, Flags: []string{"on-link", "deprecated"}},
		{Kind: "route", Value: "2001:db8::/64 by 2001:db8::53", Origin: "dhcp4", Lifetime: &none},
		{Kind: "resolver", Value: "[2001:db8::53]:853", Origin: "dhcp6", Flags: []string{"dot", "r.example"}},
		{Kind: "zone", Value: "corp.example.com", Origin: "json", Lifetime: &left},
		{Kind: "pref64", Value: "2001:db8::/64", Origin: "ra", Lifetime: &left},
		{Kind: "portal", Value: "https://cp.example.net/api", Origin: "ra"},
	}
	if diff := cmp.Diff(want, holdings(d, now)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
