package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mifvif/dns"
	"mifvif/nat"
	"mifvif/packet"
	"mifvif/pvd"
	"mifvif/scheduler"
	"mifvif/stack"
	"mifvif/tun"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	own      = netip.MustParseAddr("198.18.0.1")
	own6     = netip.MustParseAddr("2001:2::1")
	resolver = netip.MustParseAddr("198.18.0.2")
	server   = netip.MustParseAddr("203.0.113.80")
)

// wire is a device whose packets come from a test.
type wire struct {
	in     chan []byte
	out    chan []byte
	closed chan struct{}
}

func (w *wire) Read(*tun.Batch) ([]tun.Packet, error) {
	select {
	case b := <-w.in:
		return []tun.Packet{{Data: b}}, nil
	case <-w.closed:
		return nil, os.ErrClosed
	}
}

func (w *wire) Write(_ tun.Header, bufs ...[]byte) error {
	var b []byte
	for _, p := range bufs {
		b = append(b, p...)
	}
	select {
	case w.out <- b:
	default:
	}
	return nil
}

// uplinks answers dials as a test says, and notes in which domains they were.
type uplinks struct {
	mu    sync.Mutex
	asked []string
	dial  func(ctx context.Context, domain string) (*net.TCPConn, error)
	open  func() (int, error) // of UDP, nil for none
	// multipath dials with Multipath TCP, nil: the host cannot.
	multipath func(d *pvd.Domain, src netip.Addr, dst netip.AddrPort) (Multipath, error)
}

func (u *uplinks) DialTCP(ctx context.Context, d *pvd.Domain, _ netip.Addr, _ netip.AddrPort, _ uint8) (stack.Uplink, error) {
	u.mu.Lock()
	u.asked = append(u.asked, d.Name)
	u.mu.Unlock()
	return u.dial(ctx, d.Name)
}

func (u *uplinks) DialMultipath(_ context.Context, d *pvd.Domain, src netip.Addr, dst netip.AddrPort, _ uint8) (Multipath, error) {
	u.mu.Lock()
	u.asked = append(u.asked, "multipath "+d.Name)
	u.mu.Unlock()
	if u.multipath == nil {
		return nil, fmt.Errorf("no Multipath TCP in this test: %w", errors.ErrUnsupported)
	}
	return u.multipath(d, src, dst)
}

func (u *uplinks) OpenUDP(*pvd.Domain, netip.Addr) (int, error) {
	if u.open != nil {
		return u.open()
	}
	return -1, errors.New("no sockets in this test")
}

func (u *uplinks) OpenICMP(*pvd.Domain, netip.Addr) (int, error) {
	return -1, errors.New("no sockets in this test")
}

func (u *uplinks) Dial(context.Context, *pvd.Domain, string, netip.AddrPort) (net.Conn, error) {
	return nil, errors.New("no sockets in this test")
}

// nobody is asked no names.
type nobody struct{}

func (nobody) Choose(dns.Query, []*pvd.Domain) dns.Choice { return dns.Choice{} }

// world is a relay between a wire and pretended uplinks.
type world struct {
	t       testing.TB
	relay   *Relay
	wire    *wire
	uplinks *uplinks
	set     *pvd.Set
}

// newWorld starts a relay over the domains, which are chosen in their order.
func newWorld(tb testing.TB, maxTCP int, names ...string) *world {
	tb.Helper()
	var domains []*pvd.Domain
	for i, name := range names {
		domains = append(domains, &pvd.Domain{
			Name: name, Slot: uint16(i), Attached: 1, Interface: name, Ifindex: i + 10, State: pvd.Online, Internet: true, Weight: 1,
			Addresses: []pvd.Address{
				{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 24)},
				{Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i + 1)}), 64)},
			},
			NextHops: []pvd.NextHop{
				{Addr: netip.MustParseAddr("192.0.2.254"), Metric: i},
				{Addr: netip.MustParseAddr("2001:db8::fe"), Is6: true, Metric: i},
			},
		})
	}
	w := &world{
		t: tb, set: pvd.NewSet(domains), uplinks: &uplinks{},
		wire: &wire{in: make(chan []byte), out: make(chan []byte, 64), closed: make(chan struct{})},
	}
	chosen := scheduler.New(scheduler.Config{Source: nat.SelectSource})
	chosen.Publish(w.set, &scheduler.Policy{Algorithm: scheduler.Priority, Order: names})
	log := slog.New(slog.DiscardHandler)
	table, err := nat.New(nat.Config{Max: 1024, PerSource: 1}, w.wire, w.uplinks, log)
	check(tb, err)
	served, err := dns.New(dns.Config{Chooser: nobody{}, Dialer: w.uplinks}, log)
	check(tb, err)
	w.relay, err = New(Config{
		Device: w.wire, Scheduler: chosen, Dialer: w.uplinks, NAT: table, Resolver: served,
		Names: dns.NewNames(dns.NamesConfig{Max: 16, PerApp: 1}), ResolverAddrs: []netip.Addr{resolver},
		House: []netip.Prefix{netip.PrefixFrom(own, 30).Masked()}, MaxTCP: maxTCP,
		Stack: stack.Config{MTU: 1500, Pending: 16, PerSource: 1},
	}, log)
	check(tb, err)
	w.relay.SetLocals(&Locals{Sources: map[netip.Addr]struct{}{own: {}, own6: {}}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.relay.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		close(w.wire.closed)
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			tb.Errorf("run: %v", err)
		}
	})
	return w
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// answer returns the next packet that an app gets.
func (w *world) answer() (packet.Info, []byte) {
	w.t.Helper()
	select {
	case b := <-w.wire.out:
		info, err := packet.Parse(b)
		check(w.t, err)
		return info, b
	case <-time.After(5 * time.Second):
		w.t.Fatal("the app hears nothing")
		return packet.Info{}, nil
	}
}

// word names what the next packet tells an app.
func (w *world) word() string {
	w.t.Helper()
	info, b := w.answer()
	l4 := b[info.L4:]
	switch info.Proto {
	case 1:
		return map[[2]byte]string{
			{3, 0}: "net unreachable", {3, 1}: "host unreachable", {3, 2}: "protocol unreachable", {3, 3}: "port unreachable",
			{3, 13}: "prohibited", {0, 0}: "echo reply",
		}[[2]byte{l4[0], l4[1]}]
	case 6:
		if l4[13]&flagRST != 0 {
			return "reset"
		}
	}
	return "something else"
}

// silence reports whether the app hears nothing for a moment.
func (w *world) silence() bool {
	select {
	case <-w.wire.out:
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}

// Flags of TCP (RFC 9293 3.1).
const (
	flagSYN = 1 << 1
	flagRST = 1 << 2
	flagACK = 1 << 4
)

// segment builds a TCP segment of the app's.
func segment(src, dst netip.AddrPort, flags uint8, seq, ack uint32) []byte {
	i := packet.Info{Src: src.Addr(), Dst: dst.Addr(), Proto: 6, TTL: 64}
	const length = 20
	b := packet.AppendIP(nil, i, length)
	l4 := len(b)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, length/4<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
	sum := packet.Sum(b[l4:], packet.PseudoSum(i.Src, i.Dst, i.Proto, length))
	binary.BigEndian.PutUint16(b[l4+16:], ^sum)
	return b
}

func syn(port uint16) []byte {
	return segment(netip.AddrPortFrom(own, port), netip.AddrPortFrom(server, 80), flagSYN, 1, 0)
}

// datagram builds a UDP packet.
func datagram(src, dst netip.Addr, dstPort uint16) []byte {
	return append(packet.AppendUDP(nil, packet.Info{Src: src, Dst: dst, SrcPort: 4000, DstPort: dstPort, TTL: 64}, 4), "mif0"...)
}
