package relay

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"mifvif/packet"
	"mifvif/tun"
)

// onLoopback returns a UDP socket that cannot leave the loopback, whatever it
// sends to.
func onLoopback() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.BindToDevice(fd, "lo")
	}
	return fd, err
}

// datagrams returns packets of n sockets to the server, which have bindings; more
// than one datagram holds is a super-packet.
func (w *world) datagrams(n, payload int) []tun.Packet {
	w.t.Helper()
	w.uplinks.open = onLoopback
	all := make([]tun.Packet, n)
	for i := range all {
		info := packet.Info{Src: own, Dst: server, SrcPort: uint16(1024 + i), DstPort: 4242, TTL: 64}
		p := tun.Packet{Data: append(packet.AppendUDP(nil, info, payload), make([]byte, payload)...)}
		p.Header = tun.Header{NeedsChecksum: true, ChecksumStart: packet.IPv4HeaderLen, ChecksumOffset: 6}
		if payload > 1472 {
			p.Header.GSOType, p.Header.GSOSize, p.Header.HeaderLen = tun.GSOUDPL4, 1400, packet.IPv4HeaderLen+packet.UDPHeaderLen
		}
		w.relay.receive(&p, nil)
		all[i] = p
	}
	w.relay.cfg.NAT.Flush()
	if got := len(w.relay.cfg.NAT.Flows()); got != n {
		w.t.Fatalf("%d bindings of %d sockets", got, n)
	}
	return all
}

// TestADatagramsWayDoesNotAllocate: from mif0 to the uplink's socket.
func TestADatagramsWayDoesNotAllocate(t *testing.T) {
	w := newWorld(t, 8, "a")
	p := w.datagrams(1, 1400)
	if n := testing.AllocsPerRun(200, func() {
		w.relay.receive(&p[0], nil)
		w.relay.cfg.NAT.Flush()
	}); n > 0 {
		t.Errorf("%g allocations for a datagram", n)
	}
}

// BenchmarkDatagram is a datagram's way through the house: parsed, checked, decided
// about before, and sent, 32 at a time.
func BenchmarkDatagram(b *testing.B) {
	for _, flows := range []int{1, 1_000} {
		for _, size := range []int{64 - 28, 576 - 28, 1500 - 28, 63_000} {
			b.Run(fmt.Sprintf("%d/%d", flows, size), func(b *testing.B) {
				w := newWorld(b, 8, "a")
				all := w.datagrams(flows, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					w.relay.receive(&all[n%flows], nil)
					if n%32 == 31 {
						w.relay.cfg.NAT.Flush()
					}
				}
			})
		}
	}
}

// BenchmarkAcceptable looks at a source among few and many addresses of the host.
func BenchmarkAcceptable(b *testing.B) {
	for _, n := range []int{1, 1_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := &Locals{Sources: make(map[netip.Addr]struct{})}
			a := own
			for range n {
				l.Sources[a] = struct{}{}
				a = a.Next()
			}
			var r Relay
			r.locals.Store(l)
			info := packet.Info{Src: own, Dst: server, Proto: 17, TTL: 64}
			b.ReportAllocs()
			for b.Loop() {
				if !r.acceptable(&info, nil) {
					b.Fatal("refused")
				}
			}
		})
	}
}
