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

// Whose number appSide returns.
const (
	ofAddress uint64 = iota
	ofGroup
	ofUser
)

// appSide returns one number for the app that sends f: its control group, else
// its user, on a host that has no groups; a host behind a LAN's interface by its
// address. The root group is nobody's: it holds what was put into none.
func (s *Scheduler) appSide(f *subject) uint64 {
	switch o := &f.Owner; {
	case f.Ingress == "" && len(o.Cgroup) > len("/"):
		return hashString(mix(hashSeed, ofGroup), o.Cgroup)
	case f.Ingress == "" && o.Known:
		return mix(mix(hashSeed, ofUser), uint64(o.UID))
	}
	return hashAddr(mix(hashSeed, ofAddress), s.app(f.src))
}

// affinityKey returns one number for all flows that are kept together: two
// flows have the same if the affinity says so.
func (s *Scheduler) affinityKey(kind Affinity, f *subject) uint64 {
	h := mix(mix(hashSeed, uint64(kind)), s.appSide(f))
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
