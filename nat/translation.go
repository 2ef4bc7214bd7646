package nat

import (
	"maps"
	"net/netip"
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

// called returns the last destination as the app calls it.
func (b *binding) called() netip.AddrPort {
	dst := *b.lastDst.Load()
	return netip.AddrPortFrom(b.shown(dst.Addr()), dst.Port())
}
