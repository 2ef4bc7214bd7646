package pvd

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// kinds are the objects that networks give lifetimes: how one is said until a time,
// and how many of it a domain has.
func kinds() map[string]struct {
	say func(r *Report, until time.Time)
	has func(d *Domain) int
} {
	p := netip.MustParsePrefix("2001:db8:9::/64")
	server := netip.MustParseAddrPort("[2001:db8:1::53]:53")
	return map[string]struct {
		say func(r *Report, until time.Time)
		has func(d *Domain) int
	}{
		"prefixes": {
			func(r *Report, u time.Time) {
				r.Adverts = []Advert{{Prefix: p, Router: r.Sender, OnLink: true, Until: u, Preferred: u}}
			},
			func(d *Domain) int { return len(d.Adverts) },
		},
		"routes": {
			func(r *Report, u time.Time) {
				r.Routes = []Route{{Dst: p, Via: r.Sender, Origin: r.Origin, Until: u}}
			},
			func(d *Domain) int { return len(d.Routes) },
		},
		"resolvers": {
			func(r *Report, u time.Time) { r.Resolvers = []Resolver{{Addr: server, Origin: r.Origin, Until: u}} },
			func(d *Domain) int { return len(d.Resolvers) },
		},
		"encrypted resolvers": {
			func(r *Report, u time.Time) {
				r.Resolvers = []Resolver{{Addr: server, Transport: DoT, Name: "resolver.example", Origin: r.Origin, Until: u}}
			},
			func(d *Domain) int { return len(d.Resolvers) },
		},
		"named resolvers": {
			func(r *Report, u time.Time) {
				r.Designated = []Designation{{Name: "resolver.example", Origin: r.Origin, Until: u}}
			},
			func(d *Domain) int { return len(d.Designated) },
		},
		"zones": {
			func(r *Report, u time.Time) { r.Zones = []Zone{{Name: "corp.example", Origin: r.Origin, Until: u}} },
			func(d *Domain) int { return len(d.Zones) },
		},
		"search lists": {
			func(r *Report, u time.Time) { r.Search = []Zone{{Name: "corp.example", Origin: r.Origin, Until: u}} },
			func(d *Domain) int { return len(d.Search) },
		},
		"time servers": {
			func(r *Report, u time.Time) { r.NTP = []TimeServer{{Addr: server.Addr(), Origin: r.Origin, Until: u}} },
			func(d *Domain) int { return len(d.NTP) },
		},
		"NAT64 prefixes": {
			func(r *Report, u time.Time) {
				r.PREF64 = []PREF64{{Prefix: netip.MustParsePrefix("64:ff9b::/96"), Origin: r.Origin, Until: u}}
			},
			func(d *Domain) int { return len(d.PREF64) },
		},
		"portals": {
			func(r *Report, u time.Time) {
				r.Portal = PortalAPI{URI: "https://cp.example/api", Origin: r.Origin, Until: u}
			},
			func(d *Domain) int {
				if d.Portal.URI != "" {
					return 1
				}
				return 0
			},
		},
	}
}

// TestEveryObjectLivesAsLongAsItSays is about lifetimes of zero, of a while and of
// all ones, for every object, from a router and from a server of each family.
func TestEveryObjectLivesAsLongAsItSays(t *testing.T) {
	sources := map[string]func() Report{
		"a router":        func() Report { r := ra("O"); r.RA.Lifetime = 65535 * time.Second; return r },
		"a DHCPv4 server": func() Report { r := dhcp(FromDHCPv4, "192.0.2.1", "192.0.2.53"); r.Resolvers = nil; return r },
		"a DHCPv6 server": func() Report { r := dhcp(FromDHCPv6, "fe80::9", "2001:db8::53"); r.Resolvers = nil; return r },
	}
	for source, say := range sources {
		for kind, of := range kinds() {
			t.Run(source+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := NewBuilder(usual())
					k := plain()
					count := func(what string, want int) {
						t.Helper()
						if got := of.has(b.Build(k.State, Inputs{}).ByName("eth0")); got != want {
							t.Errorf("%s: %d, want %d", what, got, want)
						}
					}
					learn := func(until func(now time.Time) time.Time) {
						r := say()
						of.say(&r, until(r.Received))
						b.Learn(r)
					}
					never := func(time.Time) time.Time { return time.Time{} }
					over := func(now time.Time) time.Time { return now }
					soon := func(now time.Time) time.Time { return now.Add(time.Minute) }
					before := of.has(b.Build(k.State, Inputs{}).ByName("eth0"))

					learn(over)
					count("zero, of something never heard of", before)
					learn(soon)
					count("a minute", before+1)
					time.Sleep(time.Minute - time.Second)
					count("a minute, not over", before+1)
					time.Sleep(2 * time.Second)
					count("a minute, over", before)
					learn(never)
					time.Sleep(10 * 365 * 24 * time.Hour)
					count("infinity", before+1)
					learn(over)
					count("zero", before)
					learn(never)
					learn(soon)
					time.Sleep(time.Minute + time.Second)
					count("infinity cut to a minute", before)
				})
			})
		}
	}
}

// TestARouterIsOneAsLongAsItSays: a lifetime of zero takes the next hop at once and
// nothing else (RFC 4861 6.3.4).
func TestARouterIsOneAsLongAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuilder(usual())
		k := new(kernel).link(2, "eth0").addr(2, "2001:db8:1::10/64")
		hops := func() int {
			d := b.Build(k.State, Inputs{}).ByName("eth0")
			if d == nil {
				return -1
			}
			if len(d.Resolvers) != 1 {
				t.Errorf("%d resolvers, which have a lifetime of their own", len(d.Resolvers))
			}
			return len(d.NextHops)
		}
		k2 := func(lifetime time.Duration) {
			r := ra("dns", "2001:db8:1::53")
			r.Resolvers[0].Until = time.Time{}
			r.RA.Lifetime = lifetime
			b.Learn(r)
		}
		b.Build(k.State, Inputs{})
		k2(time.Minute)
		if n := hops(); n != 1 {
			t.Errorf("%d next hops in the minute", n)
		}
		time.Sleep(time.Minute + time.Second)
		if n := hops(); n != 0 {
			t.Errorf("%d next hops after it", n)
		}
		k2(65535 * time.Second)
		time.Sleep(65534 * time.Second)
		if n := hops(); n != 1 {
			t.Errorf("%d next hops in the longest time", n)
		}
		k2(0)
		if n := hops(); n != 0 {
			t.Errorf("%d next hops after the router has said that it is none", n)
		}
	})
}
