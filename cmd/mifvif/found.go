package main

import (
	"maps"
	"slices"
	"sync"

	"mifvif/pvd"
)

// found keeps what a domain's own resolvers showed of it (NAT64 prefixes, resolvers
// that it only names), between the resolver's goroutines and the publisher.
type found[T comparable] struct {
	news chan struct{} // 1: there is something new

	mu    *sync.Mutex
	found map[pvd.Key][]T
}

func newFound[T comparable]() found[T] {
	return found[T]{news: make(chan struct{}, 1), mu: new(sync.Mutex), found: make(map[pvd.Key][]T)}
}

// deliver takes what one domain's resolvers showed.
func (f found[T]) deliver(k pvd.Key, all []T) {
	f.mu.Lock()
	same := slices.Equal(f.found[k], all)
	f.found[k] = all
	f.mu.Unlock()
	if !same {
		latest(f.news, struct{}{})
	}
}

// all returns what is known now.
func (f found[T]) all() map[pvd.Key][]T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.found)
}

// forget drops what was found in instances that are no more.
func (f found[T]) forget(set *pvd.Set) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.found, func(k pvd.Key, _ []T) bool { return set.ByKey(k) == nil })
}
