package nat

import (
	"maps"
	"net/netip"

	"mifvif/packet"
	"mifvif/pvd"
)

// maxTranslated bounds the renamed destinations of one binding; beyond it the
// table starts anew and its packets are decided again.
const maxTranslated = 4096

// translation says which destinations of a binding go elsewhere than they say,
// and how those are shown to the app. It is immutable; Bind replaces it.
type translation struct {
	real  map[netip.Addr]netip.Addr // by what the app says
	shown map[netip.Addr]netip.Addr // by what the network says
}

// translate notes that packets to dst go to real. Two names of one address in one
// domain share its answers: the latest is shown. t.mu is held.
func (b *binding) translate(dst, real netip.Addr) {
	old := b.translation.Load()
	switch {
	case !real.IsValid() && old == nil:
		return
	case !real.IsValid():
		real = dst
	}
	if old == nil || len(old.real) >= maxTranslated {
		old = &translation{}
	}
	if old.real[dst] == real && old.shown[real] == dst {
		return
	}
	next := &translation{real: maps.Clone(old.real), shown: maps.Clone(old.shown)}
	if next.real == nil {
		next.real, next.shown = make(map[netip.Addr]netip.Addr), make(map[netip.Addr]netip.Addr)
	}
	next.real[dst], next.shown[real] = real, dst
	b.translation.Store(next)
}

// real returns where packets to dst go.
func (b *binding) real(dst netip.Addr) netip.Addr {
	if t := b.translation.Load(); t != nil {
		if to, ok := t.real[dst]; ok {
			return to
		}
	}
	return dst
}

// shown returns what the app calls an address of the network.
func (b *binding) shown(from netip.Addr) netip.Addr {
	if t := b.translation.Load(); t != nil {
		if as, ok := t.shown[from]; ok {
			return as
		}
	}
	return from
}

// crosses reports whether the network's family is not the app's (RFC 6146).
func (b *binding) crosses() bool { return b.choice.Source.Is6() != b.app.app.Addr().Is6() }

// reply returns what the app calls the sender of a datagram; false if it cannot be
// called anything, as a sender of the other family that is behind no NAT64.
func (b *binding) reply(from netip.Addr) (netip.Addr, bool) {
	from = b.shown(from)
	if from.Is6() == b.app.app.Addr().Is6() {
		return from, true
	}
	for i := range b.choice.Domain.PREF64 {
		if v4, ok := pvd.Extract64(b.choice.Domain.PREF64[i].Prefix, from); ok {
			return v4, true
		}
	}
	return from, false
}

// crossed restates an ICMPv6 error for an IPv4 app (RFC 7915 5.2): the path's limit
// less what the IPv6 header is longer, else that the host is not reached. The
// offender is left out, as it has no IPv4 address.
func crossed(e packet.Error) packet.Error {
	const unreachable, tooBig, timeExceeded, longer = 1, 2, 3, 20
	switch {
	case e.Type == tooBig:
		return packet.TooBigError(int(e.Rest)-longer, false)
	case e.Type == timeExceeded:
		return packet.Error{Type: 11, Code: e.Code}
	case e.Type == unreachable && e.Code == 4:
		return packet.UnreachableError(packet.PortUnreachable, false)
	case e.Type == unreachable && e.Code == 1:
		return packet.UnreachableError(packet.AdminProhibited, false)
	}
	return packet.UnreachableError(packet.HostUnreachable, false)
}

// called returns the last destination as the app calls it.
func (b *binding) called() netip.AddrPort {
	dst := *b.lastDst.Load()
	return netip.AddrPortFrom(b.shown(dst.Addr()), dst.Port())
}
