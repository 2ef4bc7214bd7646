package relay

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/packet"
)

// TestEveryPacketIsCarriedAnsweredOrCounted sends what must not be carried.
func TestEveryPacketIsCarriedAnsweredOrCounted(t *testing.T) {
	addr := netip.MustParseAddr
	stranger := addr("192.0.2.99")
	other := packet.AppendIP(nil, packet.Info{Src: own, Dst: server, Proto: 132, TTL: 64}, 8)
	echo := func(dst netip.Addr) []byte {
		b := packet.AppendIP(nil, packet.Info{Src: own, Dst: dst, Proto: 1, TTL: 64}, 8)
		return append(b, 8, 0, 0xf7, 0xfd, 0, 1, 0, 1)
	}
	cases := []struct {
		name    string
		packet  []byte
		counted string
		hears   string
	}{
		{"empty", nil, "malformed", ""},
		{"neither IPv4 nor IPv6", []byte{0x50, 0, 0, 0}, "malformed", ""},
		{"truncated", datagram(own, server, 53)[:24], "malformed", ""},
		{"spoofed source", datagram(stranger, server, 53), "martian", ""},
		{"multicast", datagram(own, addr("224.0.0.251"), 5353), "martian", ""},
		{"broadcast", datagram(own, addr("255.255.255.255"), 67), "martian", ""},
		{"to the loopback", datagram(own, addr("127.0.0.1"), 53), "martian", ""},
		{"to an address of the house that nobody has", datagram(own, addr("198.18.0.3"), 53), "nowhere", "host unreachable"},
		{"unknown protocol", append(other, make([]byte, 8)...), "protocol", "protocol unreachable"},
		{"echo reply that nobody asked for", func() []byte { b := echo(server); b[20], b[22] = 0, 0xff; return b }(), "protocol", ""},
		{"no domain for a datagram", datagram(own, server, 53), "refused", "net unreachable"},
		{"no domain for an echo request", echo(server), "refused", "net unreachable"},
		{"another port of the resolver", datagram(own, resolver, 54), "", "port unreachable"},
		{"echo request to the resolver", echo(resolver), "", "echo reply"},
	}
	w := newWorld(t, 8)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			before := w.relay.Drops()
			w.wire.in <- c.packet
			if c.hears != "" {
				if got := w.word(); got != c.hears {
					t.Errorf("the app hears %q, want %q", got, c.hears)
				}
			} else if !w.silence() {
				t.Error("the app hears something")
			}
			for reason, n := range w.relay.Drops() {
				want := before[reason]
				if reason == c.counted {
					want++
				}
				if n != want {
					t.Errorf("%s: %d, want %d", reason, n, want)
				}
			}
		})
	}
}

func TestDatagramWithoutBindingIsRefused(t *testing.T) {
	w := newWorld(t, 8, "a") // whose uplink opens no socket
	w.wire.in <- datagram(own, server, 4000)
	if got := w.word(); got != "host unreachable" {
		t.Errorf("the app hears %q, want that the host cannot be reached", got)
	}
	if n := w.relay.Drops()["unbound"]; n != 1 {
		t.Errorf("counted %d, want 1", n)
	}
}

// TestWhatIsCutMayBeCutAgain sends an IPv6 datagram in two fragments: whole it is
// larger than uplinks take, so its socket must not refuse to cut it.
func TestWhatIsCutMayBeCutAgain(t *testing.T) {
	w := newWorld(t, 8, "a")
	socket := make(chan int, 1)
	w.uplinks.open = func() (int, error) {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		socket <- fd
		return fd, err //nolint:wrapcheck // a test's
	}
	dst := netip.MustParseAddr("2001:db8:ff::80")
	for _, b := range fragments6(own6, dst, 3000) {
		w.wire.in <- b
	}
	select {
	case fd := <-socket:
		w.wire.in <- nil // taken when what came before has been sent
		if never, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG); err != nil || never != 0 {
			t.Errorf("the socket refuses to fragment: IPV6_DONTFRAG %d, %v", never, err)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("the fragments did not become a datagram: %v", w.relay.Drops())
	}
}

// fragments6 returns a UDP datagram with a payload of some size in two fragments.
func fragments6(src, dst netip.Addr, size int) [][]byte {
	i := packet.Info{Src: src, Dst: dst, SrcPort: 4000, DstPort: 7, TTL: 64}
	whole := append(packet.AppendUDP(nil, i, size), make([]byte, size)...)
	packet.FinishUDP(whole, packet.IPv6HeaderLen)
	udp := whole[packet.IPv6HeaderLen:]
	const first = 1400
	piece := func(offset int, data []byte, more uint16) []byte {
		b := packet.AppendIP(nil, packet.Info{Src: src, Dst: dst, Proto: 44, TTL: 64}, 8+len(data))
		b = append(b, 17, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(offset)|more)
		return append(append(b, 0, 0, 0, 1), data...)
	}
	return [][]byte{piece(0, udp[:first], 1), piece(first, udp[first:], 0)}
}
