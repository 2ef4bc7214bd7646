package nat

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/nat/offload"
	"mifvif/packet"
	"mifvif/pvd"
)

// ledger plays the kernel: it translates nothing and counts what it is told.
type ledger struct {
	room    int
	mu      sync.Mutex
	flows   map[uint64]offload.Flow
	passed  map[uint64]offload.Traffic
	uplinks []int
}

var errNoRoom = fmt.Errorf("the map is full: %w", unix.E2BIG)

func (k *ledger) Put(f offload.Flow) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.flows) >= k.room {
		return errNoRoom
	}
	k.flows[f.ID] = f
	return nil
}

func (k *ledger) Delete(f offload.Flow) offload.Traffic {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.flows, f.ID)
	return k.passed[f.ID]
}

func (k *ledger) Traffic(f offload.Flow) offload.Traffic {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.passed[f.ID]
}

// pass has so much of a flow pass.
func (k *ledger) pass(id uint64, t offload.Traffic) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.passed[id] = t
}

func (k *ledger) All(see func(uint64, offload.Traffic)) error {
	for id := range k.flows {
		see(id, k.passed[id])
	}
	return nil
}

func (k *ledger) Keep(uplinks []int) error { k.uplinks = uplinks; return nil }
func (k *ledger) Close() error             { return nil }

// wire has packets leave by the loopback device, where nobody takes them.
type wire struct{}

func (wire) OpenRaw(*pvd.Domain, netip.Addr) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return -1, err
	}
	return fd, unix.BindToDevice(fd, "lo")
}

// streams are Streams whose kernel and wire are the test's.
func streams(t *testing.T, room int) (*Streams, *ledger, *mif0) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("ICMP errors are heard by root only")
	}
	k := &ledger{room: room, flows: make(map[uint64]offload.Flow), passed: make(map[uint64]offload.Traffic)}
	out := &mif0{packets: make(chan []byte, 100)}
	s, err := NewStreams(StreamConfig{MTU: 1500}, k, out, wire{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.ports.set("20000 65535")
	t.Cleanup(func() { s.close(); s.poller.Close(); s.ears.close() })
	return s, k, out
}

var (
	server = netip.MustParseAddrPort("203.0.113.1:80")
	onE1   = Choice{Domain: &pvd.Domain{
		Name: "e1", MTU: 1500, Ifindex: 2, Addresses: []pvd.Address{{Prefix: netip.MustParsePrefix("10.1.0.2/24")}},
	}, Source: netip.MustParseAddr("10.1.0.2")}
)

func flowOf(app, dst netip.AddrPort) flow.Flow { return flow.Flow{Proto: flow.TCP, Src: app, Dst: dst} }

// synOf returns an app's SYN: an ACK will do where nobody looks at flags.
func synOf(app, dst netip.AddrPort) []byte { return packet.AppendAck(nil, app, dst, 1, 0) }

// begin opens a stream from the app to a server.
func begin(t *testing.T, s *Streams, dst netip.AddrPort, more bool) *Stream {
	t.Helper()
	one, err := s.Open(flowOf(app, dst), synOf(app, dst), onE1, Attempt{More: more})
	if err != nil {
		t.Fatal(err)
	}
	return one
}

const ack = packet.TCPAck

func TestPhasesAreReadOffWhatPassed(t *testing.T) {
	side := func(flags uint8, ack, fin uint32) offload.Side {
		return offload.Side{Segments: 1, Flags: flags, Ack: ack, End: fin}
	}
	for _, test := range []struct {
		name   string
		tx, rx offload.Side
		want   phase
	}{
		{"nothing but the SYN, which does not pass", offload.Side{}, offload.Side{}, opening},
		{"a segment that is no answer, which the app resets", side(packet.TCPRst, 0, 9), side(ack, 9, 0), opening},
		{"answered", offload.Side{}, side(packet.TCPSyn|ack, 1, 0), established},
		{"refused", offload.Side{}, side(packet.TCPRst|ack, 1, 0), closed},
		{"refused by who does not know its SYN", offload.Side{}, side(packet.TCPRst|ack, 7, 0), opening},
		{"half closed by the app", side(ack|packet.TCPFin, 5, 9), side(packet.TCPSyn|ack, 9, 0), established},
		{"half closed by the server", side(ack, 9, 0), side(packet.TCPSyn|ack|packet.TCPFin, 5, 9), established},
		{"closed by both, one has not heard", side(ack|packet.TCPFin, 8, 9), side(packet.TCPSyn|ack|packet.TCPFin, 9, 9), closing},
		{"closed by both, the other has not heard", side(ack|packet.TCPFin, 9, 9), side(packet.TCPSyn|ack|packet.TCPFin, 8, 9), closing},
		{"closed by both", side(ack|packet.TCPFin, 7, 9), side(packet.TCPSyn|ack|packet.TCPFin, 9, 7), closed},
		{"reset by the app", side(ack|packet.TCPRst, 7, 9), side(packet.TCPSyn|ack, 9, 7), closed},
		{"reset from the network", side(ack, 7, 9), side(packet.TCPSyn|ack|packet.TCPRst, 9, 7), closed},
		{"reset by who does not know what the app waits for", side(ack, 7, 9), side(packet.TCPSyn|ack|packet.TCPRst, 9, 8), closing},
	} {
		if got := (&Stream{asked: 1}).phaseOf(offload.Traffic{Tx: test.tx, Rx: test.rx}); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestPortsAreThoseThatTheKernelKeeps(t *testing.T) {
	for _, test := range []struct {
		local string
		want  [][2]int
		n     int
	}{
		{"32768\t60999\n", [][2]int{{1024, 32767}, {61000, 65535}}, 36280},
		{"1024 65535", nil, 0},
		{"1 500", [][2]int{{1024, 65535}}, 64512},
		{"20000 20999", [][2]int{{1024, 19999}, {21000, 65535}}, 63512},
		{"nonsense", nil, 0},
	} {
		free, n := parsePorts(test.local)
		if diff := cmp.Diff(test.want, free); diff != "" || n != test.n {
			t.Errorf("%q: %d, %s", test.local, n, diff)
		}
	}
	p := ports{used: make(map[netip.AddrPort]struct{})}
	p.set("6000 64000")
	for range p.n {
		a, err := p.take(onE1.Source)
		if err != nil || a.Port() >= 6000 && a.Port() <= 64000 || a.Port() < 1024 {
			t.Fatalf("%v, %v", a, err)
		}
	}
	if a, err := p.take(onE1.Source); !errors.Is(err, ErrUntranslatable) {
		t.Errorf("then %v, %v", a, err)
	}
	if _, err := p.take(netip.MustParseAddr("10.2.0.2")); err != nil {
		t.Errorf("another source has none left: %v", err)
	}
}

// TestPortsRestBeforeTheyAreUsedAgain: a server keeps TIME_WAIT for a minute, and knows
// connections by the port.
func TestPortsRestBeforeTheyAreUsedAgain(t *testing.T) {
	p := ports{used: make(map[netip.AddrPort]struct{})}
	p.set("32768 60999")
	last := make(map[uint16]int)
	held := make([]netip.AddrPort, 0, 1000)
	for i := range 3 * p.n {
		a, err := p.take(onE1.Source)
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := last[a.Port()]; ok && i-before < p.n-cap(held)-among {
			t.Fatalf("port %d is used again after %d others of %d", a.Port(), i-before, p.n)
		}
		if held = append(held, a); len(held) == cap(held) {
			p.giveBack(held[0])
			last[held[0].Port()] = i
			held = append(held[:0], held[1:]...)
		}
	}
	p.set("32768 61999")
	for range p.n - len(held) {
		if a, err := p.take(onE1.Source); err != nil || a.Port() >= 32768 && a.Port() <= 61999 || slices.Contains(held, a) {
			t.Fatalf("when the kernel has others, %v, %v", a, err)
		}
	}
	for _, a := range held {
		p.giveBack(a)
	}
	if r := p.resting[onE1.Source]; r.n > len(held) || r.n == 0 {
		t.Errorf("%d of %d ports rest", r.n, len(held))
	}
	if p.keep(pvd.NewSet(nil)); len(p.resting) > 0 {
		t.Error("an address that is gone is kept")
	}
}

func TestAnAppsAddressHasOnePort(t *testing.T) {
	s, k, _ := streams(t, 100)
	one, two := begin(t, s, server, false), begin(t, s, netip.MustParseAddrPort("203.0.113.2:443"), false)
	if one.Source() != two.Source() {
		t.Errorf("it leaves from %v and %v", one.Source(), two.Source())
	}
	other, err := s.Open(flowOf(netip.MustParseAddrPort("198.18.0.1:4001"), server), synOf(app, server), onE1, Attempt{})
	if err != nil || other.Source() == one.Source() {
		t.Errorf("another leaves from %v, %v", other.Source(), err)
	}
	if _, err := s.Open(flowOf(app, server), synOf(app, server), onE1, Attempt{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("the same flow once more: %v", err)
	}
	one.Reset()
	two.Reset()
	other.Reset()
	if len(k.flows)+len(s.leases)+len(s.raws)+len(s.ports.used)+len(s.byID)+len(s.byApp)+len(s.bySrc) > 0 || s.count.Load() != 0 {
		t.Errorf("left: %v, %v, %v", k.flows, s.leases, s.raws)
	}
}

func TestWhatCannotBeTranslatedIsLeft(t *testing.T) {
	s, k, _ := streams(t, 100)
	small, p2p, alias := onE1, onE1, onE1
	small.Domain = &pvd.Domain{MTU: 1400}
	p2p.Domain = &pvd.Domain{MTU: 1500, P2P: true}
	alias.Real = server.Addr()
	for name, c := range map[string]Choice{"a smaller MTU": small, "no Ethernet": p2p, "another destination": alias} {
		if _, err := s.Open(flowOf(app, server), synOf(app, server), c, Attempt{}); !errors.Is(err, ErrUntranslatable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Open(flowOf(app, server), []byte{0x46, 0, 0}, onE1, Attempt{}); !errors.Is(err, ErrUntranslatable) {
		t.Errorf("IP options: %v", err)
	}
	k.room = 0
	if _, err := s.Open(flowOf(app, server), synOf(app, server), onE1, Attempt{}); !errors.Is(err, errNoRoom) {
		t.Errorf("a full map: %v", err)
	}
	if len(s.leases)+len(s.raws)+len(s.byID) > 0 {
		t.Errorf("left: %v, %v", s.leases, s.raws)
	}
}

func TestASYNThatIsSentAgainGoesTheSameWay(t *testing.T) {
	s, k, _ := streams(t, 100)
	if _, again := s.Again(app, server, synOf(app, server)); again {
		t.Error("an unknown SYN was sent again")
	}
	one := begin(t, s, server, true)
	ended := 0
	one.OnEnd(func() { ended++ })
	if _, again := s.Again(app, server, synOf(app, server)); !again {
		t.Error("the second SYN is to be decided anew")
	}
	one.began -= 3 * time.Second
	if past, again := s.Again(app, server, synOf(app, server)); again || len(past.Tried) != 1 || past.Tried[0] != onE1.Domain.Key() || ended != 1 || len(k.flows) > 0 {
		t.Errorf("the SYN after three seconds: %v tried, sent again %v, ended %d times, %v", past.Tried, again, ended, k.flows)
	}
	begin(t, s, server, true)
	other := packet.AppendAck(nil, app, server, 77, 0)
	if past, again := s.Again(app, server, other); again || len(past.Tried) > 0 || len(k.flows) > 0 {
		t.Errorf("the SYN of another connection: %v tried, sent again %v, %v", past.Tried, again, k.flows)
	}
	odd := slices.Insert(synOf(app, server), packet.IPv4HeaderLen, 1, 1, 1, 1)
	odd[0]++
	one = begin(t, s, server, true)
	if err := one.send(odd); !errors.Is(err, ErrUntranslatable) {
		t.Errorf("a SYN with IP options leaves as it is: %v", err)
	}
	if _, again := s.Again(app, server, odd); again || len(k.flows) > 0 {
		t.Errorf("a SYN with IP options: sent again %v, %v", again, k.flows)
	}
	last := begin(t, s, netip.MustParseAddrPort("203.0.113.3:80"), false)
	last.began -= time.Minute
	for range 6 {
		if _, again := s.Again(app, last.key.dst, synOf(app, server)); !again {
			t.Fatal("the last candidate was given up")
		}
	}
	k.passed[last.id] = offload.Traffic{Tx: offload.Side{Segments: 1, Flags: packet.TCPRst}, Rx: offload.Side{Segments: 1, Flags: packet.TCPSyn | ack}}
	last.OnEnd(func() { ended += 10 })
	if _, again := s.Again(app, last.key.dst, synOf(app, server)); again || ended < 10 || len(k.flows) != 0 {
		t.Errorf("a SYN after the end: %v, ended %d, %v", again, ended, k.flows)
	}
}

func TestStreamsEndWhenTheyHave(t *testing.T) {
	s, k, _ := streams(t, 100)
	now := offload.Now()
	play := func(t offload.Traffic, ago time.Duration) func(*Stream) {
		return func(one *Stream) {
			one.began = now - ago
			t.Rx.Last = now - ago
			k.passed[one.id] = t
		}
	}
	alive := offload.Traffic{Tx: offload.Side{Segments: 1, Flags: ack}, Rx: offload.Side{Segments: 1, Flags: packet.TCPSyn | ack}}
	shut := offload.Traffic{Tx: offload.Side{Segments: 1, Flags: ack | packet.TCPRst}, Rx: alive.Rx}
	for i, test := range []struct {
		name      string
		play      func(*Stream)
		over      bool
		forgotten bool
	}{
		{"opening", play(offload.Traffic{}, 3*time.Minute), false, false},
		{"never answered", play(offload.Traffic{}, 5*time.Minute), true, true},
		{"silent for two hours", play(alive, 2*time.Hour), false, false},
		{"silent for longer", play(alive, 3*time.Hour), true, true},
		{"closed just now", play(shut, 0), true, false},
		{"closed", play(shut, 2*time.Second), true, true},
	} {
		one := begin(t, s, netip.AddrPortFrom(server.Addr(), uint16(1000+i)), false)
		ended := false
		one.OnEnd(func() { ended = true })
		test.play(one)
		s.look()
		if ended != test.over || one.gone != test.forgotten {
			t.Errorf("%s: ended %v, forgotten %v", test.name, ended, one.gone)
		}
		s.look() // once is enough
		late := false
		one.OnEnd(func() { late = true })
		if late != test.over {
			t.Errorf("%s: who asks later is told %v", test.name, late)
		}
	}
}

func TestAResetIsBelieved(t *testing.T) {
	s, k, out := streams(t, 100)
	one := begin(t, s, server, false)
	k.passed[one.id] = offload.Traffic{
		Tx: offload.Side{Segments: 3, Flags: ack, Ack: 50, Next: 9}, Rx: offload.Side{Segments: 3, Flags: packet.TCPSyn | ack, Ack: 9, Next: 70},
	}
	ended := 0
	one.OnEnd(func() { ended++ })
	one.Reset()
	one.Reset()
	if ended != 1 {
		t.Errorf("its end was told %d times", ended)
	}
	for _, want := range [][]byte{packet.AppendReset(nil, server, app, 70, 9), packet.AppendAck(nil, server, app, 49, 9)} {
		if diff := cmp.Diff(want, <-out.packets); diff != "" {
			t.Errorf("the app is told: %s", diff)
		}
	}
	if tx, rx, state := one.Shown(); tx != 0 || rx != 0 || state != "established" {
		t.Errorf("at the end it is %q with %d and %d bytes", state, tx, rx)
	}
	silent := begin(t, s, server, false)
	silent.Reset()
	if len(out.packets) > 0 {
		t.Error("an app that nobody has answered was told of a reset")
	}
}

// TestAStopLeavesNoSYNUnanswered: nobody decides about the next one.
func TestAStopLeavesNoSYNUnanswered(t *testing.T) {
	s, _, out := streams(t, 100)
	begin(t, s, server, false).Reset()
	begin(t, s, server, false)
	s.close()
	if told := len(out.packets); told != 1 {
		t.Fatalf("the apps are told %d packets, want one: the end of a domain is no answer", told)
	}
	if diff := cmp.Diff(packet.AppendReset(nil, server, app, 0, 2), <-out.packets); diff != "" {
		t.Errorf("the app is told: %s", diff)
	}
}

func TestErrorsOfThePathReachTheApp(t *testing.T) {
	s, _, out := streams(t, 100)
	one := begin(t, s, server, false)
	router := netip.MustParseAddr("192.0.2.7")
	quote := packet.AppendAck(nil, one.Source(), server, 1, 2)
	whole := packet.AppendError(nil, packet.Error{Type: 3, Code: 4, Rest: 1300, From: router}, quote)
	s.ears.all[0].heard(whole, router)
	want := packet.AppendError(nil, packet.Error{Type: 3, Code: 4, Rest: 1300, From: router}, packet.AppendAck(nil, app, server, 1, 2))
	got := <-out.packets
	if diff := cmp.Diff(want[:len(want)-4], got[:len(want)-4]); diff != "" && got[9] != want[9] {
		t.Errorf("the app is told: %s", diff)
	}
	if src, dst, ok := packet.QuotedTCP(got[packet.IPv4HeaderLen+packet.ICMPHeaderLen:]); !ok || src != app || dst != server {
		t.Errorf("it quotes %v to %v", src, dst)
	}
	strange := packet.AppendAck(nil, netip.AddrPortFrom(one.Source().Addr(), 1), server, 1, 2)
	s.ears.all[0].heard(packet.AppendError(nil, packet.Error{Type: 3, Code: 4, From: router}, strange), router)
	for n := range whole { // cut off anywhere
		s.ears.all[0].heard(whole[:n], router)
	}
	if len(out.packets) > 1 {
		t.Errorf("%d errors about nothing were told", len(out.packets))
	}
}

// TestErrorsOfOneFlowAreNoOthers: where one server's network says no more than that it
// has too much to say, another's path is still heard.
func TestErrorsOfOneFlowAreNoOthers(t *testing.T) {
	s, _, out := streams(t, 100)
	router := netip.MustParseAddr("192.0.2.7")
	one, other := begin(t, s, server, false), begin(t, s, netip.MustParseAddrPort("203.0.113.2:80"), false)
	tell := func(about *Stream) int {
		e := packet.Error{Type: 3, Code: 4, Rest: 1300, From: router}
		s.ears.all[0].heard(packet.AppendError(nil, e, packet.AppendAck(nil, about.Source(), about.key.dst, 1, 2)), router)
		defer func() {
			for len(out.packets) > 0 {
				<-out.packets
			}
		}()
		return len(out.packets)
	}
	told := 0
	for range 5000 {
		told += tell(one)
	}
	if told < 10 || told > 1000 {
		t.Errorf("of a flood of 5000 the app was told %d", told)
	}
	if tell(other) != 1 {
		t.Error("of the other flow nothing was told")
	}
}

func TestAnUplinkThatShrinksEndsItsStreams(t *testing.T) {
	s, k, _ := streams(t, 100)
	d := *onE1.Domain
	one := begin(t, s, server, false)
	s.Keep(pvd.NewSet([]*pvd.Domain{&d}), false)
	if one.gone || len(k.uplinks) != 1 {
		t.Errorf("gone: %v, uplinks: %v", one.gone, k.uplinks)
	}
	small := d
	small.MTU = 1400
	s.Keep(pvd.NewSet([]*pvd.Domain{&small}), false)
	if !one.gone {
		t.Error("it goes on")
	}
}

func TestNothingIsTranslatedWhileItIsBarred(t *testing.T) {
	s, k, _ := streams(t, 100)
	set := pvd.NewSet([]*pvd.Domain{onE1.Domain})
	one := begin(t, s, server, false)
	s.Keep(set, true)
	if !one.gone || len(k.flows) > 0 {
		t.Error("it goes on")
	}
	if _, err := s.Open(flowOf(app, server), synOf(app, server), onE1, Attempt{}); !errors.Is(err, ErrUntranslatable) {
		t.Errorf("another one: %v", err)
	}
	s.Keep(set, false)
	begin(t, s, server, false)
}

func TestWhatARouterBeforeTheAppSaysIsAboutTheUplinksSide(t *testing.T) {
	s, _, _ := streams(t, 100)
	one := begin(t, s, server, false)
	router := netip.MustParseAddr("192.168.1.1")
	about := func(to netip.AddrPort, e packet.Error) []byte {
		e.From = router
		return packet.AppendError(nil, e, packet.AppendAck(nil, server, to, 1, 2))
	}
	whole := about(app, packet.TooBigError(1300, false))
	for n := range whole { // cut off anywhere
		s.TooBig(slices.Clone(whole[:n]))
	}
	if !s.TooBig(whole) {
		t.Error("what is said of a stream's segment is not taken")
	}
	if src, dst, ok := packet.QuotedTCP(whole[packet.IPv4HeaderLen+packet.ICMPHeaderLen:]); !ok || src != server || dst != one.Source() {
		t.Errorf("the server is told of a segment from %v to %v", src, dst)
	}
	stranger := netip.AddrPortFrom(app.Addr(), 1)
	if s.TooBig(about(stranger, packet.TooBigError(1300, false))) || s.TooBig(about(app, packet.UnreachableError(packet.HostUnreachable, false))) {
		t.Error("what is about nothing of ours, or of no size, is taken")
	}
}

func TestASilentStreamIsDeclinedInTime(t *testing.T) {
	s, k, _ := streams(t, 100)
	var declined [][]byte
	open := func(dst netip.AddrPort) *Stream {
		one, err := s.Open(flowOf(app, dst), synOf(app, dst), onE1, Attempt{
			More: true, Patience: time.Second, Declined: func(syn []byte) { declined = append(declined, syn) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
	one, other := open(server), open(netip.MustParseAddrPort("203.0.113.2:80"))
	ended := false
	one.OnEnd(func() { ended = true })
	if !s.hurry() || ended {
		t.Fatal("it is declined at once")
	}
	if len(s.rouse) != 1 {
		t.Error("nobody is to look")
	}
	<-s.rouse
	open(netip.MustParseAddrPort("203.0.113.4:80")).Reset()
	if len(s.rouse) != 0 {
		t.Error("who looks is put off by every new one")
	}
	one.began -= 2 * time.Second
	other.began -= 2 * time.Second
	k.pass(other.id, offload.Traffic{Rx: offload.Side{Segments: 1, Flags: packet.TCPSyn | ack}})
	if s.hurry() || !ended || other.gone || len(k.flows) != 1 {
		t.Errorf("then it has ended: %v; the one that was answered: %v", ended, other.gone)
	}
	if len(declined) != 1 || !cmp.Equal(declined[0], synOf(app, server)) {
		t.Errorf("declined are % x", declined)
	}
	if past, again := s.Again(app, server, synOf(app, server)); again || !past.Declined {
		t.Errorf("when it comes back: %+v, %v", past, again)
	}
	if past, again := s.Again(app, server, synOf(app, server)); again || past.Declined {
		t.Errorf("when it comes once more: %+v, %v", past, again)
	}
}

func TestANetworkThatKnowsNoWayIsLeftForTheNext(t *testing.T) {
	router := netip.MustParseAddr("192.0.2.7")
	for _, test := range []struct {
		name     string
		more     bool
		answered uint8 // flags
		typ      uint8
		number   uint32
		from     netip.Addr
		left     bool
	}{
		{"another is left", true, 0, 3, 1, router, true},
		{"it was on its way for too long", true, 0, 11, 1, router, false},
		{"who has seen no SYN says it", true, 0, 3, 2, router, false},
		{"none is left", false, 0, 3, 1, router, false},
		{"somebody has answered", true, packet.TCPSyn | ack, 3, 1, router, false},
		{"the server says it itself", true, 0, 3, 1, server.Addr(), false},
		{"it says something else", true, 0, 12, 1, router, false},
	} {
		s, k, out := streams(t, 100)
		one := begin(t, s, server, test.more)
		k.passed[one.id] = offload.Traffic{Rx: offload.Side{Segments: 1, Flags: test.answered}}
		whole := packet.AppendError(nil, packet.Error{Type: test.typ, Code: 1, From: test.from}, packet.AppendAck(nil, one.Source(), server, test.number, 2))
		s.ears.all[0].heard(whole, test.from)
		if told := len(out.packets) > 0; told == test.left {
			t.Errorf("%s: the app is told: %v", test.name, told)
		}
		if past, again := s.Again(app, server, synOf(app, server)); again == test.left || len(past.Tried) > 0 != test.left {
			t.Errorf("%s: the next SYN goes the same way: %v, tried %v", test.name, again, past.Tried)
		}
	}
}

// TestASYNLeavesByItsOwnSocket: a stream that is ended as soon as it has begun keeps
// its socket until its SYN is sent, or that might leave by another domain's.
func TestASYNLeavesByItsOwnSocket(t *testing.T) {
	s, _, _ := streams(t, 100)
	one, err := s.start(flowOf(app, server), synOf(app, server), onE1, Attempt{})
	if err != nil {
		t.Fatal(err)
	}
	one.Reset()
	if one.raw.streams != 1 || len(s.raws) != 1 {
		t.Fatalf("its socket has %d users", one.raw.streams)
	}
	if err := one.send(synOf(app, server)); err != nil {
		t.Errorf("its SYN: %v", err)
	}
	s.mu.Lock()
	s.dropRaw(one.raw)
	s.mu.Unlock()
	if len(s.raws) != 0 {
		t.Error("its socket is left")
	}
}

func TestWhatHasEndedMakesRoom(t *testing.T) {
	s, k, _ := streams(t, 1)
	one := begin(t, s, server, false)
	k.pass(one.id, offload.Traffic{Tx: offload.Side{Segments: 1, Flags: packet.TCPRst, Last: offload.Now()}, Rx: offload.Side{Flags: packet.TCPSyn | ack}})
	s.look()
	if !one.over || one.gone {
		t.Fatalf("it is over %v and gone %v, want what is kept for a while", one.over, one.gone)
	}
	begin(t, s, netip.MustParseAddrPort("203.0.113.2:80"), false)
	if !one.gone {
		t.Error("both are there")
	}
}

// TestWhatIsOverDoesNotGoOn: nobody counts what is over, resets it or takes its network
// away from it, so that whoever goes on sending must not have it for long.
func TestWhatIsOverDoesNotGoOn(t *testing.T) {
	s, k, _ := streams(t, 100)
	d := *onE1.Domain
	over := func() *Stream {
		s.Keep(pvd.NewSet([]*pvd.Domain{&d}), false)
		one := begin(t, s, server, false)
		k.pass(one.id, offload.Traffic{Tx: offload.Side{Flags: packet.TCPRst, Last: offload.Now() + time.Hour}, Rx: offload.Side{Flags: packet.TCPSyn | ack}})
		s.look()
		s.Keep(pvd.NewSet([]*pvd.Domain{&d}), false)
		if !one.over || one.gone {
			t.Fatalf("it is over %v and gone %v", one.over, one.gone)
		}
		return one
	}
	one := over()
	one.since -= 5 * time.Second
	if s.look(); !one.gone {
		t.Error("it goes on")
	}
	one = over()
	if s.Keep(pvd.NewSet(nil), false); !one.gone {
		t.Error("it goes on without its domain")
	}
	one = over()
	d.Addresses = nil
	if s.Keep(pvd.NewSet([]*pvd.Domain{&d}), false); !one.gone {
		t.Error("it goes on without its address")
	}
}

// laborious is a kernel that takes its time until somebody has passed.
type laborious struct {
	*ledger
	begun, passed chan struct{} // closed when the first flow is taken out, and then
	once          sync.Once
	deleted       atomic.Int64
}

func (k *laborious) Delete(f offload.Flow) offload.Traffic {
	k.once.Do(func() { close(k.begun) })
	select {
	case <-k.passed:
	case <-time.After(time.Millisecond):
	}
	k.deleted.Add(1)
	return k.ledger.Delete(f)
}

func TestASYNDoesNotWaitUntilAllIsForgotten(t *testing.T) {
	const many = 1000
	s, k, _ := streams(t, many)
	slow := &laborious{ledger: k, begun: make(chan struct{}), passed: make(chan struct{})}
	s.kernel = slow
	for i := range many {
		from := netip.AddrPortFrom(app.Addr(), uint16(5000+i))
		one, err := s.Open(flowOf(from, server), synOf(from, server), onE1, Attempt{})
		if err != nil {
			t.Fatal(err)
		}
		one.began -= time.Hour
	}
	var passing sync.WaitGroup
	passing.Go(func() {
		<-slow.begun
		s.Again(app, server, nil)
		close(slow.passed)
		if n := slow.deleted.Load(); n > many*9/10 {
			t.Errorf("it came after %d others of %d", n, many)
		}
	})
	s.look()
	passing.Wait()
}

// TestNothingBeginsOnADomainThatIsGone, although its decision was made before that and
// another stream's socket is there still.
func TestNothingBeginsOnADomainThatIsGone(t *testing.T) {
	s, _, _ := streams(t, 100)
	one := begin(t, s, server, false)
	s.mu.Lock()
	if r, err := s.rawOf(onE1); err != nil || r != one.raw {
		t.Fatalf("the socket: %v", err)
	}
	s.mu.Unlock()
	s.Keep(pvd.NewSet(nil), false)
	if !one.gone {
		t.Error("it goes on without its domain")
	}
	if _, err := s.Open(flowOf(app, server), synOf(app, server), onE1, Attempt{}); !errors.Is(err, ErrUntranslatable) {
		t.Errorf("another one: %v", err)
	}
	s.mu.Lock()
	s.dropRaw(one.raw)
	s.mu.Unlock()
}
