package scheduler

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// weighted returns n domains w0, w1, … with these weights.
func weighted(weights ...int) []*pvd.Domain {
	var out []*pvd.Domain
	for i, w := range weights {
		d := domain(i, fmt.Sprint("w", i), "internet", fmt.Sprintf("203.0.%d.2/24", i), fmt.Sprintf("2001:db8:%d::2/64", i))
		d.Weight = w
		out = append(out, d)
	}
	return out
}

// destination returns the i-th of many public destinations.
func destination(i int) string { return fmt.Sprintf("198.18.%d.%d:443", i/250, i%250+1) }

func first(s *Scheduler, f flow.Flow) string {
	d := s.Pick(f)
	return d.Candidates()[0].Domain.Name
}

// chosen counts the destinations from a number on whose flows a domain gets.
func chosen(s *Scheduler, domain string, from, count int) (n int) {
	for i := range count {
		if first(s, to(destination(from+i), "")) == domain {
			n++
		}
	}
	return n
}

func TestWeightsAreKept(t *testing.T) {
	for _, weights := range [][]int{{3, 1}, {1, 1}, {1, 2, 3, 4}, {100, 1}, {0, 1}} {
		s := house(Policy{}, weighted(weights...)...)
		const flows = 10_000
		count := make(map[string]int)
		for i := range flows {
			count[first(s, to(destination(i), ""))]++
		}
		sum := 0
		for _, w := range weights {
			sum += max(w, 1)
		}
		for i, w := range weights {
			want, got := float64(max(w, 1))/float64(sum), float64(count[fmt.Sprint("w", i)])/flows
			if math.Abs(got-want) > 0.015 {
				t.Errorf("weights %v: %.4f of the flows on domain %d, want %.4f within 0.015", weights, got, i, want)
			}
		}
	}
}

// TestASiteIsNeverSplit: 1,000 sites of many hosts and connections each.
func TestASiteIsNeverSplit(t *testing.T) {
	s := house(Policy{}, weighted(2, 1, 1)...)
	used := make(map[string]int)
	for site := range 1000 {
		var on string
		for conn := range 20 {
			f := to(destination(site*20+conn), fmt.Sprintf("h%d.cdn.site%d.co.uk", conn, site))
			f.Src = netip.AddrPortFrom(f.Src.Addr(), uint16(1024+conn))
			got := first(s, f)
			if on == "" {
				on = got
			}
			if got != on {
				t.Fatalf("site %d is split over %s and %s", site, on, got)
			}
		}
		used[on]++
	}
	if len(used) != 3 {
		t.Errorf("sites went to %v: every domain must get some", used)
	}
}

func TestAffinityIsWhatIsKeptTogether(t *testing.T) {
	s, base := house(Policy{}), to("192.0.2.80:443", "www.example.com")
	change := map[string]func(*flow.Flow){
		"port of the app": func(f *flow.Flow) { f.Src = netip.AddrPortFrom(f.Src.Addr(), 40001) },
		"destination":     func(f *flow.Flow) { f.Dst = netip.MustParseAddrPort("192.0.2.81:443") },
		"host of the site": func(f *flow.Flow) {
			f.Name, f.Dst = "img.example.com", netip.MustParseAddrPort("192.0.2.81:443")
		},
		"site": func(f *flow.Flow) { f.Name = "www.example.org" },
		"app":  func(f *flow.Flow) { f.Src = netip.MustParseAddrPort("192.168.7.7:40000") },
	}
	for _, tt := range []struct {
		affinity Affinity
		keeps    map[string]bool
	}{
		{AffinityNone, map[string]bool{"site": true}},
		{AffinityDestination, map[string]bool{"port of the app": true, "site": true}},
		{AffinitySite, map[string]bool{"port of the app": true, "destination": true, "host of the site": true}},
		{AffinitySource, map[string]bool{"port of the app": true, "destination": true, "host of the site": true, "site": true}},
	} {
		for name, f := range change {
			a, b := newSubject(base), base
			f(&b)
			about := newSubject(b)
			same := s.affinityKey(tt.affinity, &a) == s.affinityKey(tt.affinity, &about)
			if same != tt.keeps[name] {
				t.Errorf("affinity %d, another %s: kept together is %v, want %v", tt.affinity, name, same, tt.keeps[name])
			}
		}
	}
}

// TestWhoseFlowsAreKeptTogether: an app of this host is its control group, else its
// user, and of a LAN its client's address.
func TestWhoseFlowsAreKeptTogether(t *testing.T) {
	s := New(Config{Source: firstSource, App: func(a netip.Addr) netip.Addr {
		if netip.MustParsePrefix("198.18.0.0/15").Contains(a) {
			return netip.Addr{}
		}
		return a
	}})
	who := func(ingress, src string, o flow.Owner) flow.Flow {
		f := to("192.0.2.80:443", "www.example.com")
		f.Ingress, f.Src, f.Owner = ingress, netip.MustParseAddrPort(src), o
		return f
	}
	owner := func(uid uint32, group, process string) flow.Owner {
		return flow.Owner{Known: true, UID: uid, Cgroup: group, Process: process}
	}
	for what, c := range map[string]struct {
		a, b flow.Flow
		same bool
	}{
		"one group":              {who("", "198.18.0.1:1", owner(1, "/a", "x")), who("", "198.18.0.1:2", owner(2, "/a", "y")), true},
		"two groups":             {who("", "198.18.0.1:1", owner(1, "/a", "x")), who("", "198.18.0.1:1", owner(1, "/b", "x")), false},
		"one user":               {who("", "198.18.0.1:1", owner(1, "", "x")), who("", "198.18.0.1:2", owner(1, "", "y")), true},
		"two users":              {who("", "198.18.0.1:1", owner(1, "", "x")), who("", "198.18.0.1:1", owner(2, "", "x")), false},
		"users in no group":      {who("", "198.18.0.1:1", owner(1, "/", "x")), who("", "198.18.0.1:1", owner(2, "/", "x")), false},
		"nobody known":           {who("", "198.18.0.1:1", flow.Owner{}), who("", "198.18.1.1:2", flow.Owner{}), true},
		"user 0 and nobody":      {who("", "198.18.0.1:1", owner(0, "", "")), who("", "198.18.0.1:1", flow.Owner{}), false},
		"one client of a LAN":    {who("lan", "192.168.7.7:1", flow.Owner{}), who("lan", "192.168.7.7:2", flow.Owner{}), true},
		"two clients of a LAN":   {who("lan", "192.168.7.7:1", flow.Owner{}), who("lan", "192.168.7.8:1", flow.Owner{}), false},
		"a client and this host": {who("lan", "192.168.7.7:1", owner(1, "/a", "x")), who("", "192.168.7.7:1", owner(1, "/a", "x")), false},
	} {
		a, b := newSubject(c.a), newSubject(c.b)
		if same := s.affinityKey(AffinitySite, &a) == s.affinityKey(AffinitySite, &b); same != c.same {
			t.Errorf("%s: kept together is %v, want %v", what, same, c.same)
		}
	}
}

// TestNobodyIsAskedWhoseAFlowIsForNothing: only a policy that keeps the flows of
// an app together, over more than one domain, asks.
func TestNobodyIsAskedWhoseAFlowIsForNothing(t *testing.T) {
	for what, c := range map[string]struct {
		policy  Policy
		domains []*pvd.Domain
		want    bool
	}{
		"the defaults":          {Policy{}, two(), true},
		"one domain":            {Policy{}, two()[:1], false},
		"each flow for itself":  {Policy{Affinity: AffinityNone}, two(), false},
		"an order of domains":   {Policy{Algorithm: Priority}, two(), false},
		"a rule with affinity":  {Policy{Affinity: AffinityNone, Rules: []Rule{{Affinity: AffinitySite}}}, two(), true},
		"a rule with algorithm": {Policy{Algorithm: Overflow, Rules: []Rule{{Algorithm: LeastUsed}}}, two(), true},
		"a rule with neither":   {Policy{Algorithm: Overflow, Rules: []Rule{{Prefer: []string{"lte"}}}}, two(), false},
	} {
		if got := house(c.policy, c.domains...).Needs(); got.App != c.want || got.Owner {
			t.Errorf("%s: needs %+v, want App %v", what, got, c.want)
		}
	}
}

func TestBothFamiliesOfThisHostAreOneApp(t *testing.T) {
	s := New(Config{Source: firstSource, App: func(a netip.Addr) netip.Addr {
		if a == netip.MustParseAddr("198.18.0.1") || a == netip.MustParseAddr("2001:2::1") {
			return netip.Addr{}
		}
		return a
	}})
	s.Publish(pvd.NewSet(weighted(1, 1, 1)), &Policy{})
	for i := range 200 {
		name := fmt.Sprintf("www.site%d.example", i)
		if a, b := first(s, to("192.0.2.80:443", name)), first(s, to("[2001:db8:77::80]:443", name)); a != b {
			t.Fatalf("%s: IPv4 on %s, IPv6 on %s", name, a, b)
		}
	}
}

func TestSites(t *testing.T) {
	s := new(sites)
	for name, want := range map[string]string{
		"": "", "www.example.com": "example.com", "example.com": "example.com", "a.b.example.co.uk": "example.co.uk",
		"co.uk": "co.uk", "com": "com", strings.Repeat("x.", 127) + "long.com": strings.Repeat("x.", 127) + "long.com", "printer": "printer", "a.printer.lan": "printer.lan", ".com": ".com", "a..b": ".b",
	} {
		for _, times := range []string{"asked", "asked again"} {
			if got := s.of(name); got != want {
				t.Errorf("site of %q %s is %q, want %q", name, times, got, want)
			}
		}
	}
}

// TestAKeyInUseStays: another domain appears, flows of known keys stay where
// they are as long as they are used, new keys use the new domain too.
func TestAKeyInUseStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		domains := weighted(1, 1)
		s := house(Policy{}, domains[0])
		for i := range 100 {
			first(s, to(destination(i), ""))
		}
		s.Publish(pvd.NewSet(domains), &Policy{})
		for range 5 {
			time.Sleep(stickyFor - time.Second)
			for i := range 100 {
				if d := s.Pick(to(destination(i), "")); names(d) != "w0 w1" {
					t.Fatalf("a destination in use moved: %s", names(d))
				}
			}
		}
		if d := s.Pick(to(destination(0), "")); d.Reason != reasonSticky {
			t.Errorf("reason %q, want %q", d.Reason, reasonSticky)
		}
		fresh := chosen(s, "w1", 1000, 100)
		if fresh < 25 || fresh > 75 {
			t.Errorf("%d of 100 new destinations on the new domain, want about 50", fresh)
		}
		time.Sleep(stickyFor)
		moved := chosen(s, "w1", 0, 100)
		if moved < 25 || moved > 75 {
			t.Errorf("%d of 100 idle destinations chose anew, want about 50", moved)
		}
	})
}

// TestAnotherAttachmentIsAnotherNetwork: keys do not stick to a domain that was
// away; the draw, not the memory, brings them back.
func TestAnotherAttachmentIsAnotherNetwork(t *testing.T) {
	both := weighted(1, 1)
	s := house(Policy{}, both[0])
	first(s, to(destination(1), ""))
	again := *both[0]
	again.Attached++
	s.Publish(pvd.NewSet([]*pvd.Domain{&again, both[1]}), &Policy{})
	if d := s.Pick(to(destination(1), "")); d.Reason != reasonWeighted {
		t.Errorf("reason %q, want %q", d.Reason, reasonWeighted)
	}
}

// TestAFailureMovesOnlyWhatWasThere: the draw is by rendezvous.
func TestAFailureMovesOnlyWhatWasThere(t *testing.T) {
	all := weighted(1, 1, 1)
	whole, part := house(Policy{}, all...), house(Policy{}, all[:2]...)
	for i := range 1000 {
		f := to(destination(i), "")
		before := whole.Pick(f)
		after := first(part, f)
		if on := before.Candidates()[0].Domain.Name; on != "w2" && after != on {
			t.Fatalf("flow %d was on %s and moved to %s although only w2 failed", i, on, after)
		}
		if on := before.Candidates()[0].Domain.Name; on == "w2" && after != before.Candidates()[1].Domain.Name {
			t.Fatalf("flow %d: the second candidate is what is chosen when the first is gone", i)
		}
	}
}

func TestARuleElsewhereDoesNotTakeTheSiteAlong(t *testing.T) {
	rules := []Rule{{Name: "r", Actor: Admin, Match: Match{Ports: []PortRange{{25, 25}}}, Prefer: []string{"w1"}}}
	s := house(Policy{Rules: rules}, weighted(1000, 1)...)
	f := to("192.0.2.80:443", "www.example.com")
	on := first(s, f)
	if mail := first(s, to("192.0.2.80:25", "www.example.com")); mail != "w1" || on != "w0" {
		t.Fatalf("mail on %s, web on %s", mail, on)
	}
	if now := first(s, f); now != on {
		t.Errorf("the site moved to %s because a rule put its mail there", now)
	}
}

func TestStickyIsBoundedAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSticky()
		const room = stickyShards * stickyBuckets * stickyWays
		for i := range uint64(4 * room) {
			s.keep(finish(i+1), pvd.Key{Slot: 7}, false)
		}
		found := uint64(0)
		for i := range uint64(4 * room) {
			if _, ok := s.lookup(finish(i + 1)); ok {
				found++
			}
		}
		if found > room || found < room*9/10 || s.evicted.Load() != 4*room-found {
			t.Errorf("%d of at most %d keys kept, %d evicted of %d", found, room, s.evicted.Load(), 4*room)
		}
		before := s.evicted.Load()
		time.Sleep(stickyFor)
		for i := range uint64(room) {
			s.keep(finish(i+1<<40), pvd.Key{Slot: 8}, false)
		}
		if late := s.evicted.Load() - before; late > room/5 {
			t.Errorf("%d keys counted as evicted: those whose time was over do not count", late)
		}
	})
}

func TestMoreDomainsThanCandidates(t *testing.T) {
	var many []*pvd.Domain
	for i := range 64 {
		many = append(many, domain(i, fmt.Sprintf("d%02d", i), "internet", fmt.Sprintf("203.0.%d.2/24", i), fmt.Sprintf("metric=%d", 99-i)))
	}
	s := house(Policy{Algorithm: Priority}, many...)
	if got, want := names(s.Pick(to("192.0.2.80:443", ""))), "d63 d62 d61 d60 d59 d58 d57 d56"; got != want {
		t.Errorf("got %s, want the %d best: %s", got, MaxCandidates, want)
	}
	rules := []Rule{{Name: "r", Actor: Admin, Require: []string{"d50"}}}
	s = house(Policy{Algorithm: Priority, Rules: rules}, many...)
	if got := names(s.Pick(to("192.0.2.80:443", ""))); got != "d50" {
		t.Errorf("got %q, want the required one although it is none of the first", got)
	}
}
