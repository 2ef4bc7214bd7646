package netwatch

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWhatRoutersCauseIsChatter(t *testing.T) {
	p := netip.MustParsePrefix
	base := func() State {
		return State{
			Links:     []Link{{Index: 2, Name: "e1", Up: true, Carrier: true}},
			Addresses: []Address{{Ifindex: 2, Prefix: p("192.0.2.2/24"), Valid: Forever}, {Ifindex: 2, Prefix: p("2001:db8:1::2/64"), Valid: 2 * time.Hour}},
			Routes: []Route{
				{Table: mainTable, Dst: p("0.0.0.0/0"), Ifindex: 2, Protocol: unix.RTPROT_DHCP},
				{Table: mainTable, Dst: p("::/0"), Ifindex: 2, Protocol: unix.RTPROT_RA},
			},
			Rules: []Rule{{Priority: 6410, Protocol: Protocol}, {Priority: 77}},
		}
	}
	add := func(r Route) func(*State) { return func(s *State) { s.Routes = append(s.Routes, r) } }
	for title, tt := range map[string]struct {
		change func(*State)
		want   bool
	}{
		"nothing":              {func(*State) {}, true},
		"a router":             {add(Route{Table: mainTable, Dst: p("::/0"), Ifindex: 2, Metric: 1, Protocol: unix.RTPROT_RA}), true},
		"a router less":        {func(s *State) { s.Routes = s.Routes[:1] }, true},
		"a prefix on the link": {add(Route{Table: mainTable, Dst: p("2001:db8:9::/64"), Ifindex: 2, Protocol: unix.RTPROT_KERNEL}), true},
		"an address": {func(s *State) {
			s.Addresses = append(s.Addresses, Address{Ifindex: 2, Prefix: p("2001:db8:9::2/64"), Valid: time.Hour})
		}, true},
		"a lifetime":                   {func(s *State) { s.Addresses[1].Valid = 3 * time.Hour }, true},
		"an address that is lost":      {func(s *State) { s.Addresses = s.Addresses[:1] }, false},
		"an address somebody has also": {func(s *State) { s.Addresses[1].Tentative = true }, false},
		"an address by hand": {func(s *State) {
			s.Addresses = append(s.Addresses, Address{Ifindex: 2, Prefix: p("2001:db8:9::2/64"), Valid: Forever})
		}, false},
		"an IPv4 lease": {func(s *State) {
			s.Addresses = append(s.Addresses, Address{Ifindex: 2, Prefix: p("10.0.0.2/24"), Valid: time.Hour})
		}, false},
		"a route by DHCP less":   {func(s *State) { s.Routes = s.Routes[1:] }, false},
		"a static route":         {add(Route{Table: mainTable, Dst: p("2001:db8:9::/64"), Ifindex: 2, Protocol: unix.RTPROT_STATIC}), false},
		"a route of ours":        {add(Route{Table: firstTable, Dst: p("::/0"), Protocol: Protocol}), true},
		"a link that is down":    {func(s *State) { s.Links[0].Carrier = false }, false},
		"a rule of ours less":    {func(s *State) { s.Rules = s.Rules[1:] }, true},
		"a rule of another less": {func(s *State) { s.Rules = s.Rules[:1] }, false},
		"a firewall":             {func(s *State) { s.Firewall = 3 }, true},
		"a policy of IPsec":      {func(s *State) { s.Transforms = true }, false},
	} {
		was, is := base(), base()
		tt.change(&is)
		if got := is.Chatter(&was); got != tt.want {
			t.Errorf("%s: chatter %v, want %v", title, got, tt.want)
		}
	}
}
