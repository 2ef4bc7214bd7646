package main

import (
	"maps"
	"sync"

	"mifvif/pvd"
)

// verdicts keeps what validation found last of each domain instance, between the
// validator's goroutines and the publisher.
type verdicts struct {
	news chan struct{} // 1: there is something new

	mu    *sync.Mutex
	found map[pvd.Key]pvd.Verdict
}

func newVerdicts() verdicts {
	return verdicts{news: make(chan struct{}, 1), mu: new(sync.Mutex), found: make(map[pvd.Key]pvd.Verdict)}
}

// deliver takes one verdict.
func (v verdicts) deliver(k pvd.Key, found pvd.Verdict) {
	v.mu.Lock()
	v.found[k] = found
	v.mu.Unlock()
	latest(v.news, struct{}{})
}

// all returns the present verdicts.
func (v verdicts) all() map[pvd.Key]pvd.Verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.found)
}

// forget drops the verdicts about instances that are no more.
func (v verdicts) forget(set *pvd.Set) {
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.DeleteFunc(v.found, func(k pvd.Key, _ pvd.Verdict) bool { return set.ByKey(k) == nil })
}

// validating reports whether a domain waits for its first verdict.
func (p *publisher) validating() bool {
	for _, d := range p.d.current.Load().All() {
		if d.State == pvd.Connecting {
			return true
		}
	}
	return false
}
