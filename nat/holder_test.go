package nat

import (
	"net/netip"
	"testing"
	"time"

	"mifvif/flow"
	"mifvif/packet"
	"mifvif/pvd"
	"mifvif/quota"
	"mifvif/tun"
)

// TestNobodyEvictsOthers: a user who opens socket after socket takes the places of
// nobody but its own, once it has its share, and users are asked for only where
// that matters.
func TestNobodyEvictsOthers(t *testing.T) {
	asked := 0
	table, _, _ := newTable(t, Config{Max: 40, PerSource: 0.5, Holder: func(f flow.Flow, ask bool) quota.Holder {
		if !ask {
			return quota.Holder{}
		}
		asked++
		return quota.User(uint32(f.Src.Port() / 1000))
	}})
	server := echo(t, "127.0.0.1")
	open := func(user, n uint16) {
		for i := range n {
			send(t, table, domain(0), netip.AddrPortFrom(app.Addr(), user*1000+i), server, "x")
		}
	}
	count := func(user uint16) (n int) {
		for _, f := range table.Flows() {
			if f.Flow.Src.Port()/1000 == user {
				n++
			}
		}
		return n
	}
	open(5, 10)
	if asked != 0 {
		t.Errorf("users were asked for %d times with a quarter of the places taken", asked)
	}
	open(5, 200)
	open(6, 10)
	open(5, 200)
	if a, b := count(5), count(6); a > 20 || b != 10 {
		t.Errorf("of 40 bindings one user has %d and the other %d, want at most 20, and 10", a, b)
	}
}

// TestAPortIsDecidedAnewForItsNextOwner (design: UDP is decided once per app
// socket): whoever has the port of a socket that is gone does not go where that
// one was to go.
func TestAPortIsDecidedAnewForItsNextOwner(t *testing.T) {
	owner, asked := flow.Owner{Known: true, UID: 1000, Process: "ping", PID: 7}, 0
	var told []string
	table, out, _ := newTable(t, Config{
		Max: 10, PerSource: 1, Owner: func(flow.Flow) flow.Owner { asked++; return owner },
		Moved: func(_ flow.Flow, _, to *pvd.Domain, why string) { told = append(told, to.Name+" "+why) },
	})
	now := time.Now()
	table.now = func() time.Time { return now }
	server := echo(t, "127.0.0.1")
	b := append(packet.AppendUDP(nil, packet.Info{Src: app.Addr(), Dst: server.Addr(), SrcPort: app.Port(), DstPort: server.Port(), TTL: 64}, 1), 'x')
	info, err := packet.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	forward := func() bool {
		ok := table.Forward(tun.Header{NeedsChecksum: true}, &info, b, false)
		table.Flush()
		return ok
	}
	bind := func(slot uint16) {
		t.Helper()
		choice := Choice{Domain: domain(slot), Source: netip.MustParseAddr("127.0.0.1"), Owner: owner}
		if err := table.Bind(flow.Flow{Proto: flow.UDP, Src: app, Dst: server}, choice); err != nil {
			t.Fatal(err)
		}
	}
	bind(0)
	for range 100 {
		if !forward() {
			t.Fatal("the binding is gone")
		}
	}
	out.next(t) // while the socket is still there
	if asked != 0 {
		t.Errorf("asked %d times about a socket that was just decided about", asked)
	}
	for _, c := range []struct {
		what string
		is   flow.Owner
		same bool
	}{
		{"the same program", flow.Owner{Known: true, UID: 1000, Process: "ping", PID: 8}, true},
		{"nobody, so soon after", flow.Owner{}, true},
		{"another user", flow.Owner{Known: true, UID: 1001, Process: "ping"}, false},
		{"another program", flow.Owner{Known: true, UID: 1001, Process: "dig"}, false},
	} {
		now = now.Add(recheckEvery)
		owner, asked = c.is, 0
		if got := forward(); got != c.same || asked != 1 {
			t.Errorf("%s: kept %t after %d questions, want %t after one", c.what, got, asked, c.same)
		}
		if !c.same {
			bind(1)
		}
	}
	if len(told) != 1 || told[0] != "d1 "+MovedOwner {
		t.Errorf("told %q, want one move", told)
	}
}

// TestAnAppOfManyDestinationsKeepsToItsShare: a socket whose binding has as many
// destinations of their own as one may have gets another, in the bounds of all.
func TestAnAppOfManyDestinationsKeepsToItsShare(t *testing.T) {
	table, _, _ := newTable(t, Config{Max: 8, PerSource: 0.5})
	for i := range 20 {
		dst := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}), 53)
		choice := Choice{Domain: domain(0), Source: netip.MustParseAddr("127.0.0.1"), PerDestination: true}
		if err := table.Bind(flow.Flow{Proto: flow.UDP, Src: app, Dst: dst}, choice); err != nil {
			t.Fatal(err)
		}
		table.mu.Lock()
		for b := range table.bindings {
			b.peers = append(b.peers, make([]peerKey, maxPeers)...)
		}
		table.mu.Unlock()
	}
	if n := len(table.Flows()); n > 4 {
		t.Errorf("one app has %d bindings, want its share of 8, which is 4", n)
	}
}
