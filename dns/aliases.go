package dns

import (
	"container/list"
	"encoding/binary"
	"net/netip"

	"mifvif/pvd"
)

// maxNamesakes bounds the aliases in use; the one that was used longest ago
// goes first.
const maxNamesakes = 16384

// alias4 and alias6 are where aliases are from: 198.19.0.0/16 and
// 2001:2:0:2::/64, which benchmarks own (RFC 2544, RFC 5180) and no network has.
func alias4() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 19}), 16) }

func alias6() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0, 2, 0, 0, 0, 2}), 64)
}

// IsAlias reports whether an address can only be one that this package gave an
// app for an address that two of its names share.
func IsAlias(a netip.Addr) bool { return alias4().Contains(a) || alias6().Contains(a) }

// aliases are addresses that stand for exactly one name's address in one domain.
// The owner locks.
type aliases struct {
	next  uint32 // the last number given out
	byKey map[aliasKey]*list.Element
	byTo  map[netip.Addr]*list.Element // by alias
	used  *list.List                   // of *namesake, longest ago first
}

type aliasKey struct {
	domain pvd.Key
	real   netip.Addr
	name   string
}

type namesake struct {
	aliasKey
	alias   netip.Addr
	binding Binding
}

func newAliases() *aliases {
	return &aliases{byKey: make(map[aliasKey]*list.Element), byTo: make(map[netip.Addr]*list.Element), used: list.New()}
}

// of returns the alias for an address of a binding, a new one if there is none.
func (a *aliases) of(b Binding, real netip.Addr) (netip.Addr, bool) {
	k := aliasKey{b.Domain.Key(), real, b.Name}
	if e, ok := a.byKey[k]; ok {
		a.used.MoveToBack(e)
		return e.Value.(*namesake).alias, true
	}
	if a.used.Len() >= maxNamesakes {
		oldest := a.used.Remove(a.used.Front()).(*namesake)
		delete(a.byKey, oldest.aliasKey)
		delete(a.byTo, oldest.alias)
	}
	alias, ok := a.free(real.Is6())
	if !ok {
		return alias, false
	}
	b.Private, b.Real = true, real
	e := a.used.PushBack(&namesake{k, alias, b})
	a.byKey[k], a.byTo[alias] = e, e
	return alias, true
}

// free returns an alias nobody has; of all there are, those that were given back
// long ago come first.
func (a *aliases) free(is6 bool) (netip.Addr, bool) {
	for range maxNamesakes + 2 {
		a.next = a.next%(1<<16-2) + 1 // neither 198.19.0.0 nor 198.19.255.255
		var alias netip.Addr
		if is6 {
			b := alias6().Addr().As16()
			binary.BigEndian.PutUint32(b[12:], a.next)
			alias = netip.AddrFrom16(b)
		} else {
			b := alias4().Addr().As4()
			binary.BigEndian.PutUint16(b[2:], uint16(a.next))
			alias = netip.AddrFrom4(b)
		}
		if a.byTo[alias] == nil {
			return alias, true
		}
	}
	return netip.Addr{}, false
}

func (a *aliases) lookup(alias netip.Addr) (Binding, bool) {
	e, ok := a.byTo[alias]
	if !ok {
		return Binding{}, false
	}
	a.used.MoveToBack(e)
	return e.Value.(*namesake).binding, true
}
