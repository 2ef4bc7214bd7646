package main

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

	"mifvif/pvd"
)

// found64 keeps the NAT64 prefixes that resolvers showed, between the resolver's
// goroutines and the publisher.
type found64 struct {
	news chan struct{} // 1: there is something new

	mu    *sync.Mutex
	found map[pvd.Key][]netip.Prefix
}

func newFound64() found64 {
	return found64{news: make(chan struct{}, 1), mu: new(sync.Mutex), found: make(map[pvd.Key][]netip.Prefix)}
}

// deliver takes what one domain's resolvers showed.
func (f found64) deliver(k pvd.Key, prefixes []netip.Prefix) {
	f.mu.Lock()
	same := slices.Equal(f.found[k], prefixes)
	f.found[k] = prefixes
	f.mu.Unlock()
	if !same {
		latest(f.news, struct{}{})
	}
}

// all returns what is known now.
func (f found64) all() map[pvd.Key][]netip.Prefix {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.found)
}

// forget drops what was found in instances that are no more.
func (f found64) forget(set *pvd.Set) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.found, func(k pvd.Key, _ []netip.Prefix) bool { return set.ByKey(k) == nil })
}
