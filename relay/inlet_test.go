package relay

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"

	"mifvif/flow"
)

func TestCommandAddressesAreTheirNumbers(t *testing.T) {
	for _, number := range []byte{1, 77, 254} {
		for _, a := range CommandAddresses(number) {
			if got, ok := CommandOf(a); !ok || got != number {
				t.Errorf("%v is that of command %d (%v), want %d", a, got, ok, number)
			}
		}
	}
	for _, text := range []string{"198.18.1.7", "198.19.2.7", "2001:2:0:2::7", "2001:2:0:3:1::7", "2001:2:0:3::107", "::ffff:198.18.2.7"} {
		if _, ok := CommandOf(netip.MustParseAddr(text)); ok {
			t.Errorf("%s is taken for a command's address", text)
		}
	}
	if _, ok := CommandOf(netip.Addr{}); ok {
		t.Error("no address is taken for a command's")
	}
}

// serve opens an inlet of number 1 for a domain and returns its wire and what ends it.
func (w *world) serve(domain string) (*wire, func()) {
	w.t.Helper()
	side := &wire{in: make(chan []byte), closed: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.relay.Serve(ctx, &Inlet{Device: side, Number: 1, Domain: domain}) }()
	eventually(w.t, "the inlet is there", func() bool {
		in, _ := w.relay.InletOf(CommandAddresses(1)[0])
		return in != nil
	})
	return side, func() {
		stop()
		close(side.closed)
		if err := <-ended; err != nil {
			w.t.Errorf("serve: %v", err)
		}
	}
}

func synFrom(src netip.Addr, port uint16) []byte {
	return segment(netip.AddrPortFrom(src, port), netip.AddrPortFrom(server, 80), flagSYN, 1, 0)
}

// TestACommandsFlowsAreInItsDomain although another is the first choice, and end
// with it.
func TestACommandsFlowsAreInItsDomain(t *testing.T) {
	w := newWorld(t, 8, "a", "b")
	dial, far := listen(t)
	w.uplinks.dial = dial
	side, end := w.serve("b")
	src := CommandAddresses(1)[0]
	side.in <- synFrom(src, 1000)
	info, b := w.answer()
	got := b[info.L4:]
	if info.Dst != src || got[13] != flagSYN|flagACK {
		t.Fatalf("%v hears flags %#x, want the command to hear SYN and ACK", info.Dst, got[13])
	}
	side.in <- segment(netip.AddrPortFrom(src, 1000), netip.AddrPortFrom(server, 80), flagACK, 2, binary.BigEndian.Uint32(got[4:])+1)
	up := <-far
	defer up.Close()
	eventually(t, "the flow is listed", func() bool { return len(w.relay.Flows()) == 1 })
	if rec := w.relay.Flows()[0]; rec.Domain.Name != "b" || !rec.Flow.Confined {
		t.Errorf("listed as %+v, want it confined to b", rec)
	}
	end()
	eventually(t, "the flow has ended", func() bool { return len(w.relay.Flows()) == 0 })
	if in, gone := w.relay.InletOf(src); in != nil || !gone {
		t.Errorf("the inlet is %v, gone %v", in, gone)
	}
	if _, ok := w.relay.identify(&flow.Flow{Src: netip.AddrPortFrom(src, 1)}, netip.AddrPort{}); ok {
		t.Error("what a command has left is taken for the host's")
	}
}

// TestACommandWithoutItsDomainReachesNothing: it is refused, and nobody is dialled.
func TestACommandWithoutItsDomainReachesNothing(t *testing.T) {
	w := newWorld(t, 8, "a")
	side, end := w.serve("gone")
	defer end()
	for _, packet := range [][]byte{synFrom(CommandAddresses(1)[0], 1), datagram(CommandAddresses(1)[0], server, 7)} {
		side.in <- packet
		if got := w.word(); got != "prohibited" {
			t.Errorf("the command hears %q, want prohibited", got)
		}
	}
	if len(w.uplinks.asked) > 0 {
		t.Errorf("dialled in %v", w.uplinks.asked)
	}
}

// TestSourcesKeepToTheirDevice: a command cannot send as the host or as another
// command, nor anybody as a command through mif0.
func TestSourcesKeepToTheirDevice(t *testing.T) {
	w := newWorld(t, 8, "a")
	side, end := w.serve("a")
	defer end()
	for what, send := range map[string]func(){
		"the host's":        func() { side.in <- synFrom(own, 1) },
		"another command's": func() { side.in <- synFrom(CommandAddresses(2)[0], 1) },
		"one through mif0":  func() { w.wire.in <- synFrom(CommandAddresses(1)[0], 1) },
	} {
		before := w.relay.Drops()["martian"]
		send()
		eventually(t, what+" is dropped", func() bool { return w.relay.Drops()["martian"] == before+1 })
	}
	if len(w.uplinks.asked) > 0 {
		t.Errorf("dialled in %v", w.uplinks.asked)
	}
}

// TestACommandReachesNotThisHost, to whom the kernel would bring what is sent to any
// of the host's addresses.
func TestACommandReachesNotThisHost(t *testing.T) {
	w := newWorld(t, 8, "a")
	w.relay.SetLocals(&Locals{Own: map[netip.Addr]struct{}{server: {}}})
	side, end := w.serve("a")
	defer end()
	for _, packet := range [][]byte{synFrom(CommandAddresses(1)[0], 1), datagram(CommandAddresses(1)[0], server, 7)} {
		side.in <- packet
		if got := w.word(); got != "host unreachable" {
			t.Errorf("the command hears %q, want host unreachable", got)
		}
	}
	renamed := flow.Flow{Src: netip.AddrPortFrom(CommandAddresses(1)[0], 1), Dst: netip.AddrPortFrom(server, 80)} // by a name's answer
	if _, ok := w.relay.identify(&renamed, netip.AddrPort{}); ok {
		t.Error("another name for the host's address is carried")
	}
	if len(w.uplinks.asked) > 0 {
		t.Errorf("dialled in %v", w.uplinks.asked)
	}
}

// TestWhoseACommandsFlowsAre: the user's who has it, where nobody says better.
func TestWhoseACommandsFlowsAre(t *testing.T) {
	ping := flow.Flow{Proto: flow.ICMP, Src: netip.AddrPortFrom(CommandAddresses(1)[0], 1)}
	for _, known := range []flow.Owner{{}, {Known: true, UID: 0}} {
		in, f := &Inlet{Number: 1, User: 4711, Owners: says(known)}, ping
		in.confine(&f, ping.Dst)
		want := known
		if !known.Known {
			want = flow.Owner{Known: true, UID: 4711}
		}
		if f.Owner != want {
			t.Errorf("of %+v, want %+v", f.Owner, want)
		}
	}
}

// says is an owner of everything.
type says flow.Owner

func (s says) Owner(flow.Flow) flow.Owner { return flow.Owner(s) }
