package relay

import (
	"net/netip"
	"testing"

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
