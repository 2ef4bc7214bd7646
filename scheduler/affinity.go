package scheduler

import (
	"net/netip"
)

// hashSeed starts every hash. It is fixed: the same policy over the same
// domains puts a site on the same domain after a restart too.
const hashSeed uint64 = 0x6d696676_69660001

// mix stirs one word into a hash.
func mix(h, word uint64) uint64 {
	h = (h ^ word) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// finish spreads a hash over all its bits (the finalizer of MurmurHash3).
func finish(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func hashString(h uint64, s string) uint64 {
	h = mix(h, uint64(len(s)))
	for i := range len(s) {
		h = mix(h, uint64(s[i]))
	}
	return h
}

func hashAddr(h uint64, a netip.Addr) uint64 {
	b := a.As16()
	for i := 0; i < len(b); i += 8 {
		var word uint64
		for _, octet := range b[i : i+8] {
			word = word<<8 | uint64(octet)
		}
		h = mix(h, word)
	}
	return mix(h, uint64(a.BitLen()))
}

// affinityKey returns one number for all flows that are kept together: two
// flows have the same if the affinity says so. app is the app side.
func (s *Scheduler) affinityKey(kind Affinity, app netip.Addr, f *subject) uint64 {
	h := hashAddr(mix(hashSeed, uint64(kind)), app)
	switch kind {
	case AffinityNone:
		h = hashAddr(h, f.dst)
		h = mix(h, uint64(f.Proto)<<32|uint64(f.Src.Port())<<16|uint64(f.Dst.Port()))
	case AffinityDestination:
		h = hashAddr(h, f.dst)
	case AffinitySite:
		if site := s.sites.of(f.Name); site != "" {
			h = hashString(h, site)
		} else {
			h = hashAddr(h, f.dst)
		}
	}
	return finish(h)
}
