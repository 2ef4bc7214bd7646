package scheduler

import (
	"strings"
	"sync/atomic"

	"golang.org/x/net/publicsuffix"
)

// sites finds the site of a name. The public suffix list allocates each time it
// is asked, so answers are remembered: a name's slot holds most of its hash and
// where in the name its site starts. Two names of one slot take it in turns. It
// is safe for concurrent use.
type sites struct{ slots [1 << 13]atomic.Uint64 }

// startBits are the bits of a slot for the start; a name has at most 255 octets.
const startBits = 8

// of returns the registrable domain of a name, the name itself where it has
// none, "" if there is no name. The name is in lower case without final dot.
func (s *sites) of(name string) string {
	if name == "" || len(name) >= 1<<startBits {
		return name
	}
	h := finish(hashString(hashSeed, name))
	slot := &s.slots[h%uint64(len(s.slots))]
	known := slot.Load()
	if start := int(known & (1<<startBits - 1)); known>>startBits == h>>startBits && start < len(name) {
		return name[start:]
	}
	site := site(name)
	slot.Store(h&^(1<<startBits-1) | uint64(len(name)-len(site)))
	return site
}

// site asks the public suffix list.
func site(name string) string {
	suffix, _ := publicsuffix.PublicSuffix(name)
	i := len(name) - len(suffix) - 1
	if i < 0 {
		return name
	}
	return name[1+strings.LastIndexByte(name[:i], '.'):]
}
