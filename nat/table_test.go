package nat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/lab/labtest"
	"mifvif/packet"
	"mifvif/pvd"
	"mifvif/tun"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// app is where the tests' datagrams come from.
var app = netip.MustParseAddrPort("198.18.0.1:4000")

// loopback opens sockets on 127.0.0.0/8 instead of a domain's device.
type loopback struct{ opened int }

func (o *loopback) OpenUDP(_ *pvd.Domain, src netip.Addr) (int, error) {
	o.opened++
	family, at := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: src.As16()})
	if src.Is4() {
		family, at = unix.AF_INET, &unix.SockaddrInet4{Addr: src.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, at); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (o *loopback) OpenICMP(*pvd.Domain, netip.Addr) (int, error) {
	return -1, errors.New("no raw sockets in this test")
}

// mif0 keeps what the table writes to the apps.
type mif0 struct {
	mu      sync.Mutex
	packets chan []byte
	single  bool // no bursts, as before Linux 6.2
}

func (m *mif0) Write(h tun.Header, bufs ...[]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b []byte
	for _, p := range bufs {
		b = append(b, p...)
	}
	if h.GSOType == tun.GSOUDPL4 && m.single {
		return fmt.Errorf("write: %w", unix.EINVAL)
	}
	if h.GSOType == tun.GSOUDPL4 {
		for _, one := range segments(h, b) {
			m.keep(one)
		}
		return nil
	}
	if h.NeedsChecksum {
		packet.FinishUDP(b, int(h.ChecksumStart))
	}
	m.keep(b)
	return nil
}

func (m *mif0) keep(b []byte) {
	select {
	case m.packets <- b:
	default:
	}
}

// segments cuts a super-packet as the kernel does.
func segments(h tun.Header, b []byte) [][]byte {
	i, err := packet.Parse(b)
	if err != nil || int(h.HeaderLen) != i.L4+packet.UDPHeaderLen || int(h.ChecksumStart) != i.L4 {
		panic(fmt.Sprintf("super-packet %+v, header %+v: %v", i, h, err))
	}
	var out [][]byte
	for rest := i.Payload(b); len(rest) > 0; {
		n := min(int(h.GSOSize), len(rest))
		one := append(packet.AppendUDP(nil, i, n), rest[:n]...)
		packet.FinishUDP(one, i.L4)
		out, rest = append(out, one), rest[n:]
	}
	return out
}

// next returns the next packet an app gets.
func (m *mif0) next(t *testing.T) (packet.Info, []byte) {
	t.Helper()
	select {
	case b := <-m.packets:
		i, err := packet.Parse(b)
		if err != nil {
			t.Fatalf("the app got a packet that cannot be parsed: %v", err)
		}
		return i, b
	case <-time.After(5 * time.Second):
		t.Fatal("the app got no packet")
		return packet.Info{}, nil
	}
}

func newTable(t *testing.T, cfg Config) (*Table, *mif0, *loopback) {
	t.Helper()
	out, open := &mif0{packets: make(chan []byte, 4096)}, &loopback{}
	table, err := New(cfg, out, open, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("new table: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = table.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return table, out, open
}

func domain(slot uint16) *pvd.Domain {
	return &pvd.Domain{Name: fmt.Sprint("d", slot), Slot: slot, Attached: 1, Interface: "lo"}
}

// send forwards one datagram, binding it to d first if need be.
func send(t *testing.T, table *Table, d *pvd.Domain, from, to netip.AddrPort, payload string) {
	t.Helper()
	b := append(packet.AppendUDP(nil, packet.Info{
		Src: from.Addr(), Dst: to.Addr(), SrcPort: from.Port(), DstPort: to.Port(), TTL: 33, TOS: 0xb8, DF: true,
	}, len(payload)), payload...)
	i, err := packet.Parse(b)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	h := tun.Header{NeedsChecksum: true}
	if !table.Forward(h, &i, b, false) {
		f := flow.Flow{Proto: flow.UDP, Src: from, Dst: to}
		if err := table.Bind(f, Choice{Domain: d, Source: netip.MustParseAddr("127.0.0.1")}); err != nil {
			t.Fatalf("bind: %v", err)
		}
		if !table.Forward(h, &i, b, false) {
			t.Fatal("a packet finds no binding right after Bind")
		}
	}
	table.Flush()
}

// echo answers every datagram with the address it saw.
func echo(t *testing.T, at string) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", at+":0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 2048)
		for {
			_, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo([]byte(from.String()), from)
		}
	})
	t.Cleanup(func() { c.Close(); wg.Wait() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestOneMappingServesEveryDestination(t *testing.T) {
	table, out, open := newTable(t, Config{Max: 10, PerSource: 1})
	seen := make(map[string]bool)
	for _, at := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"} {
		server := echo(t, at)
		send(t, table, domain(0), app, server, "hello")
		i, b := out.next(t)
		if i.Src != server.Addr() || i.SrcPort != server.Port() || i.Dst != app.Addr() || i.DstPort != app.Port() || !packet.UDPSound(&i, b) {
			t.Errorf("answer %+v, want from %s to %s", i, server, app)
		}
		seen[string(i.Payload(b))] = true
	}
	if len(seen) != 1 || open.opened != 1 {
		t.Errorf("servers saw %v over %d sockets, want one address (RFC 4787 REQ-1)", seen, open.opened)
	}
}

func TestAnybodyMayAnswerTheMapping(t *testing.T) {
	table, out, _ := newTable(t, Config{Max: 10, PerSource: 1})
	send(t, table, domain(0), app, echo(t, "127.0.0.1"), "hello")
	i, b := out.next(t)
	mapped := netip.MustParseAddrPort(string(i.Payload(b)))
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 9)}, net.UDPAddrFromAddrPort(mapped))
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("stranger")); err != nil {
		t.Fatalf("write: %v", err)
	}
	if i, b := out.next(t); i.Src != netip.MustParseAddr("127.0.0.9") || string(i.Payload(b)) != "stranger" {
		t.Errorf("the app got %+v", i)
	}
}

func TestClosedPortBecomesAnICMPErrorAboutTheAppsPacket(t *testing.T) {
	inNamespace(t, func() {
		table, out, _ := newTable(t, Config{Max: 10, PerSource: 1})
		closed := netip.MustParseAddrPort("203.0.113.80:9") // nobody is there
		send(t, table, domain(0), app, closed, "hello")
		i, b := out.next(t)
		if i.Proto != uint8(flow.ICMP) || i.ICMPType != 3 || i.ICMPCode != 3 || i.Dst != app.Addr() {
			t.Errorf("the app got %+v, want port unreachable", i)
			return
		}
		quoted, err := packet.Parse(b[i.L4+packet.ICMPHeaderLen : i.End])
		if err != nil || quoted.Src != app.Addr() || quoted.SrcPort != app.Port() || quoted.DstPort != closed.Port() {
			t.Errorf("quoted %+v (%v), want the app's own packet", quoted, err)
		}
		server := echo(t, "127.0.0.1")
		send(t, table, domain(0), app, server, "still here")
		if i, _ := out.next(t); i.SrcPort != server.Port() {
			t.Errorf("after the error the app got %+v: an ICMP error must not end a mapping", i)
		}
	})
}

// inNamespace runs f in a fresh network namespace whose loopback also has
// 203.0.113.80.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	labtest.InNamespace(t, func() {
		if out, err := exec.Command("sh", "-ec", "ip link set lo up; ip addr add 203.0.113.80/32 dev lo").CombinedOutput(); err != nil {
			t.Errorf("set up loopback: %v: %s", err, out)
			return
		}
		f()
	})
}

func TestBurstKeepsEveryDatagram(t *testing.T) {
	table, out, _ := newTable(t, Config{Max: 10, PerSource: 1})
	server := echo(t, "127.0.0.1")
	send(t, table, domain(0), app, server, "x")
	out.next(t)
	sizes := []int{1200, 1200, 1200, 300, 1200, 1, 1, 0, 5}
	var keep [][]byte
	for _, n := range sizes {
		b := append(packet.AppendUDP(nil, packet.Info{
			Src: app.Addr(), Dst: server.Addr(), SrcPort: app.Port(), DstPort: server.Port(), TTL: 64,
		}, n), make([]byte, n)...)
		keep = append(keep, b)
		i, err := packet.Parse(b)
		if err != nil {
			t.Fatalf("parse: %v", err)
		}
		if !table.Forward(tun.Header{NeedsChecksum: true}, &i, b, false) {
			t.Fatal("no binding")
		}
	}
	table.Flush()
	for n := range sizes {
		if i, _ := out.next(t); i.SrcPort != server.Port() {
			t.Fatalf("answer %d is %+v", n, i)
		}
	}
	_ = keep
}

func TestRetireEndsOnlyDeadDomains(t *testing.T) {
	table, out, _ := newTable(t, Config{Max: 10, PerSource: 1})
	server := echo(t, "127.0.0.1")
	other := netip.MustParseAddrPort("198.18.0.1:4001")
	send(t, table, domain(0), app, server, "a")
	send(t, table, domain(1), other, server, "b")
	out.next(t)
	out.next(t)
	table.Retire(func(pvd.Key, netip.Addr) bool { return true })
	if n := len(table.Flows()); n != 2 {
		t.Fatalf("nothing died and %d of 2 bindings are left", n)
	}
	table.Retire(func(k pvd.Key, _ netip.Addr) bool { return k.Slot == 1 })
	flows := table.Flows()
	if len(flows) != 1 || flows[0].Flow.Src != other {
		t.Fatalf("after domain 0 died: %+v", flows)
	}
	send(t, table, domain(1), app, server, "again") // a new decision, another domain
	if i, _ := out.next(t); i.DstPort != app.Port() {
		t.Errorf("the app got %+v", i)
	}
	table.Retire(func(_ pvd.Key, source netip.Addr) bool { return source != flows[0].Source.Addr() })
	if left := table.Flows(); len(left) != 0 {
		t.Errorf("after the source address died: %+v", left)
	}
}

func TestEndAppEndsOnlyItsBindings(t *testing.T) {
	table, out, _ := newTable(t, Config{Max: 10, PerSource: 1})
	server := echo(t, "127.0.0.1")
	other := netip.MustParseAddrPort("198.18.0.9:4001")
	send(t, table, domain(0), app, server, "a")
	send(t, table, domain(0), other, server, "b")
	out.next(t)
	out.next(t)
	table.EndApp(app.Addr())
	if flows := table.Flows(); len(flows) != 1 || flows[0].Flow.Src != other {
		t.Errorf("left are %+v, want that of %v", flows, other)
	}
}

// TestFatesWhenADomainDies (contract: on_failure): a binding ends, ends and its app
// is told, or is held and goes on.
func TestFatesWhenADomainDies(t *testing.T) {
	for name, c := range map[string]struct {
		choice Choice
		left   int
		told   bool
	}{
		"auto, migrate": {Choice{}, 0, false},
		"reset":         {Choice{Tell: true}, 0, true},
		"hold":          {Choice{Hold: true}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			table, out, _ := newTable(t, Config{Max: 10, PerSource: 1})
			server := netip.MustParseAddrPort("203.0.113.80:53") // of which nothing is asked
			c.choice.Domain, c.choice.Source = domain(0), netip.MustParseAddr("127.0.0.1")
			if err := table.Bind(flow.Flow{Proto: flow.UDP, Src: app, Dst: server}, c.choice); err != nil {
				t.Fatal(err)
			}
			table.Retire(func(pvd.Key, netip.Addr) bool { return false })
			if n := len(table.Flows()); n != c.left {
				t.Errorf("%d bindings are left, want %d", n, c.left)
			}
			if n := len(out.packets); (n == 1) != c.told {
				t.Fatalf("the app was told %d things", n)
			}
			if c.told {
				i, b := out.next(t)
				quoted, err := packet.Parse(b[i.L4+packet.ICMPHeaderLen : i.End])
				if b[i.L4] != 3 || b[i.L4+1] != 1 || err != nil || quoted.SrcPort != app.Port() || quoted.Dst != server.Addr() {
					t.Errorf("told %+v about %+v, want that the host of its own datagram is unreachable", i, quoted)
				}
			}
			if c.left == 1 {
				send(t, table, domain(1), app, echo(t, "127.0.0.1"), "again")
				out.next(t)
				if on := table.Flows()[0].Domain.Name; on != "d0" {
					t.Errorf("what is held went to %s", on)
				}
			}
		})
	}
}

// TestMovesAreTold: of a binding that was ended, when its app socket is put on
// another domain, and not when it comes back to the same.
func TestMovesAreTold(t *testing.T) {
	var told []string
	table, out, _ := newTable(t, Config{Max: 10, PerSource: 1, Moved: func(f flow.Flow, from, to *pvd.Domain, why string) {
		told = append(told, fmt.Sprint(f.Src.Port(), " ", from.Name, " -> ", to.Name, " ", why))
	}})
	server := echo(t, "127.0.0.1")
	one, two := app, netip.MustParseAddrPort("198.18.0.1:4001")
	use := func(from netip.AddrPort, slot uint16) {
		t.Helper()
		send(t, table, domain(slot), from, server, "x")
		out.next(t)
	}
	use(one, 0)
	use(two, 0)
	table.Retire(func(pvd.Key, netip.Addr) bool { return false })
	use(one, 1)
	use(two, 0)
	ids := make(map[uint64]bool)
	for _, f := range table.Flows() {
		if f.Flow.Src == one {
			ids[f.ID] = true
		}
	}
	if n := table.Move(ids, MovedRecovery); n != 1 || len(table.Flows()) != 1 {
		t.Errorf("%d bindings moved and %d left, want 1 and 1", n, len(table.Flows()))
	}
	use(one, 0)
	want := []string{"4000 d0 -> d1 failure", "4000 d1 -> d0 recovery"}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestTableIsBoundedAndEvictsTheIdle(t *testing.T) {
	table, _, _ := newTable(t, Config{Max: 8, PerSource: 1})
	server := echo(t, "127.0.0.1")
	for port := range uint16(50) {
		send(t, table, domain(0), netip.AddrPortFrom(app.Addr(), 5000+port), server, "x")
	}
	if n := len(table.Flows()); n > 8 {
		t.Errorf("%d bindings, at most 8", n)
	}
	if table.Stats()["bindings_evicted"] == 0 {
		t.Error("evictions were not counted")
	}
}

// TestWhatFindsASocketFullIsCounted: a flood that nobody receives meanwhile is lost
// in the kernel, and counted as soon as anything is received.
func TestWhatFindsASocketFullIsCounted(t *testing.T) {
	table, err := New(Config{Max: 8, PerSource: 1}, &mif0{packets: make(chan []byte)}, &loopback{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer table.poller.Close() // it never runs
	defer table.close()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server := c.LocalAddr().(*net.UDPAddr).AddrPort()
	if err := table.Bind(flow.Flow{Proto: flow.UDP, Src: app, Dst: server}, Choice{Domain: domain(0), Source: netip.MustParseAddr("127.0.0.1")}); err != nil {
		t.Fatal(err)
	}
	mapped := table.Flows()[0].Source
	var b *binding
	for b = range table.bindings {
		if err := unix.SetsockoptInt(b.sock.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
			t.Fatal(err)
		}
	}
	const sent = 500
	for range sent {
		if _, err := c.WriteTo(make([]byte, 100), net.UDPAddrFromAddrPort(mapped)); err != nil {
			t.Fatal(err)
		}
	}
	for b.Ready() {
	}
	if _, err := c.WriteTo([]byte("after"), net.UDPAddrFromAddrPort(mapped)); err != nil {
		t.Fatal(err)
	}
	for b.Ready() {
	}
	lost, got := table.Stats()["uplink_receive_full"], b.rxPkts.Load()
	if lost == 0 || lost+got != sent+1 {
		t.Errorf("%d received and %d counted as lost, of %d", got, lost, sent+1)
	}
}

func TestIdleLimits(t *testing.T) {
	table, _, _ := newTable(t, Config{Max: 8, PerSource: 1})
	server := echo(t, "127.0.0.1")
	send(t, table, domain(0), app, server, "x")
	table.mu.Lock()
	start := time.Now()
	table.now = func() time.Time { return start.Add(udpIdle - time.Minute) }
	table.mu.Unlock()
	table.sweep()
	if len(table.Flows()) != 1 {
		t.Fatal("a binding ended before its five minutes")
	}
	table.mu.Lock()
	table.now = func() time.Time { return start.Add(udpIdle + time.Minute) }
	table.mu.Unlock()
	table.sweep()
	if len(table.Flows()) != 0 {
		t.Error("an idle binding lives on")
	}
}
