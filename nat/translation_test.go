package nat

import (
	"net/netip"
	"testing"

	"mifvif/flow"
	"mifvif/packet"
	"mifvif/pvd"
)

func TestRenamedDestinations(t *testing.T) {
	a := netip.MustParseAddr
	b := &binding{app: appKey{flow.UDP, netip.MustParseAddrPort("198.18.0.1:4000")}, choice: Choice{Source: a("10.2.0.2"), Domain: &pvd.Domain{}}}
	if b.real(a("198.19.0.1")) != a("198.19.0.1") || b.crosses() {
		t.Error("nothing is renamed yet")
	}
	b.translate(a("198.19.0.1"), a("192.168.50.80"))
	b.translate(a("192.168.50.80"), netip.Addr{}) // the same by its own name: the latest is shown
	if b.real(a("198.19.0.1")) != a("192.168.50.80") || b.shown(a("192.168.50.80")) != a("192.168.50.80") {
		t.Error("two names of one address")
	}
	b.translate(a("198.19.0.1"), a("192.168.50.80"))
	if from, ok := b.reply(a("192.168.50.80")); !ok || from != a("198.19.0.1") {
		t.Errorf("its answer is shown as %v", from)
	}
	if from, ok := b.reply(a("192.0.2.1")); !ok || from != a("192.0.2.1") {
		t.Errorf("a stranger is shown as %v", from)
	}
	for i := range 3 * maxTranslated {
		b.translate(netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}), netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if n := len(b.translation.Load().real); n > maxTranslated {
		t.Errorf("%d destinations are renamed", n)
	}
}

func TestAnswersFromBehindANAT64(t *testing.T) {
	a := netip.MustParseAddr
	d := &pvd.Domain{PREF64: []pvd.PREF64{{Prefix: pvd.WellKnown64()}}}
	b := &binding{app: appKey{flow.UDP, netip.MustParseAddrPort("198.18.0.1:4000")}, choice: Choice{Source: a("2001:db8:1::2"), Domain: d}}
	if !b.crosses() {
		t.Error("the families differ")
	}
	if from, ok := b.reply(a("64:ff9b::cb00:7150")); !ok || from != a("203.0.113.80") {
		t.Errorf("a peer the app never spoke to is shown as %v", from)
	}
	if from, ok := b.reply(a("2001:db8::1")); ok {
		t.Errorf("an IPv6 stranger is shown to an IPv4 app as %v", from)
	}
	for _, tt := range []struct{ six, four packet.Error }{
		{packet.TooBigError(1280, true), packet.TooBigError(1260, false)},
		{packet.Error{Type: 3}, packet.Error{Type: 11}},
		{packet.UnreachableError(packet.PortUnreachable, true), packet.UnreachableError(packet.PortUnreachable, false)},
		{packet.UnreachableError(packet.AdminProhibited, true), packet.UnreachableError(packet.AdminProhibited, false)},
		{packet.UnreachableError(packet.NetUnreachable, true), packet.UnreachableError(packet.HostUnreachable, false)},
	} {
		if got := crossed(tt.six); got != tt.four {
			t.Errorf("%+v becomes %+v, want %+v", tt.six, got, tt.four)
		}
	}
}
