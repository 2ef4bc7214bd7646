package pvd

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestEachChangeThatANetworkMakesIsOneEvent has a router, a DHCP server and an
// additional-information object say things, say them again, say others and take
// them back. Each is one event, and what is no change is none.
func TestEachChangeThatANetworkMakesIsOneEvent(t *testing.T) {
	const id = "isp.example"
	object := func(zone string, until time.Duration) func(*Builder) {
		return func(b *Builder) {
			now := time.Now()
			r := Report{Origin: FromJSON, Ifindex: 2, ID: id, Received: now, Until: now.Add(until)}
			if zone != "" {
				r.Zones = []Zone{{Name: zone, Origin: FromJSON, Until: r.Until}}
			}
			b.Learn(r)
		}
	}
	says := func(words ...string) func(*Builder) {
		return func(b *Builder) { b.Learn(ra(append([]string{"id", id, "L", "H"}, words...)...)) }
	}
	server := func(dns string, change func(*Report)) func(*Builder) {
		return func(b *Builder) {
			r := dhcp(FromDHCPv4, "192.0.2.1", dns)
			if change != nil {
				change(&r)
			}
			b.Learn(r)
		}
	}
	now := func(until time.Duration) func(*Report) {
		return func(r *Report) { r.Until = r.Received.Add(until) }
	}
	event := func(kind, detail string) []Event { return []Event{{kind, id, detail}} }
	changed := func(detail string) []Event { return event("pvd.changed", detail) }
	synctest.Test(t, func(t *testing.T) {
		b, k := NewBuilder(usual()), plain()
		last := b.Build(k.State, Inputs{})
		for _, step := range []struct {
			what string
			do   func(*Builder)
			want []Event
		}{
			{"a router names the network", says("pio", "2001:db8:1::/64"), []Event{{"pvd.removed", "eth0", "it is there no more, and was online"}, {"pvd.added", id, "online: link, address and next hop are there"}}},
			{"again", says("pio", "2001:db8:1::/64"), nil},
			{"a resolver", says("pio", "2001:db8:1::/64", "dns", "2001:db8:1::53"), changed("other resolvers")},
			{"again, later", func(b *Builder) { time.Sleep(time.Second); says("dns", "2001:db8:1::53")(b) }, nil},
			{"a route", says("rio", "2001:db8:99::/48"), changed("other routes")},
			{"the router is a better one", says("high"), changed("other next hops")},
			{"it sends the host to DHCPv6", says("high", "O"), nil}, // nothing of the domain has changed yet
			{"a DHCPv4 server", server("192.0.2.53", nil), changed("other resolvers")},
			{"again", server("192.0.2.53", nil), nil},
			{"its lease", server("192.0.2.53", now(time.Hour)), nil}, // a lifetime alone
			{"another time server", server("192.0.2.53", func(r *Report) { r.NTP = []TimeServer{{Addr: netip.MustParseAddr("192.0.2.123"), Origin: FromDHCPv4}} }), changed("other time servers")},
			{"a portal", server("192.0.2.53", func(r *Report) {
				r.NTP = []TimeServer{{Addr: netip.MustParseAddr("192.0.2.123"), Origin: FromDHCPv4}}
				r.Portal = PortalAPI{URI: "https://cp.example/api", Origin: FromDHCPv4}
			}), changed("another captive portal API")},
			{"none, and no time server", server("192.0.2.53", nil), changed("another captive portal API")},
			{"additional information", object("", time.Hour), changed("other trust")},
			{"with a zone", object("isp.example", time.Hour), changed("other zones")},
			{"the same for longer", object("isp.example", 2*time.Hour), nil},
		} {
			step.do(b)
			set := b.Build(k.State, Inputs{})
			if diff := cmp.Diff(step.want, Diff(last, set)); diff != "" {
				t.Errorf("%s: events (-want +got):\n%s", step.what, diff)
			}
			if again := b.Build(k.State, Inputs{}); len(Diff(set, again)) > 0 {
				t.Errorf("%s: told twice: %v", step.what, Diff(set, again))
			}
			last = set
		}
	})
}

// TestWhatEndsByItselfIsOneEvent lets things expire one after the other.
func TestWhatEndsByItselfIsOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := NewBuilder(usual()), plain()
		b.Build(k.State, Inputs{})
		start := time.Now()
		r := ra("pio", "2001:db8:1::/64", "dns", "2001:db8:1::53", "rio", "2001:db8:99::/48")
		r.Resolvers[0].Until, r.Routes[0].Until = start.Add(time.Minute), start.Add(2*time.Minute)
		b.Learn(r)
		last := b.Build(k.State, Inputs{})
		var got []Event
		for range 10 {
			at, ok := b.Deadline()
			if !ok || at.After(start.Add(10*time.Minute)) {
				break
			}
			time.Sleep(time.Until(at))
			set := b.Build(k.State, Inputs{})
			got = append(got, Diff(last, set)...)
			last = set
		}
		want := []Event{{"pvd.changed", "eth0", "other resolvers"}, {"pvd.changed", "eth0", "other routes"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// TestALinkThatFlapsIsEachTimeOneEvent: added once, then states.
func TestALinkThatFlapsIsEachTimeOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuilder(usual())
		up := plain()
		down := new(kernel).link(1, "lo", "lo").addr(1, "127.0.0.1/8", "host").link(2, "eth0", "nocarrier").addr(2, "192.0.2.10/24")
		last := new(Set)
		count := make(map[string]int)
		for range 5 {
			for _, k := range []*kernel{up, down} {
				set := b.Build(k.State, Inputs{})
				for _, e := range Diff(last, set) {
					count[e.Type]++
				}
				last = set
			}
		}
		if diff := cmp.Diff(map[string]int{"pvd.added": 1, "pvd.state": 9}, count); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		time.Sleep(forgetAfter + time.Second)
		set := b.Build(down.State, Inputs{})
		if diff := cmp.Diff([]Event{{"pvd.removed", "eth0", "it is there no more, and was offline"}}, Diff(last, set)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}
