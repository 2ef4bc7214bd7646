package scheduler

import (
	"hash/maphash"
	"sync"
	"time"

	"mifvif/pvd"
)

// Bounds of the affinity memory.
const (
	stickyShards   = 64
	stickyPerShard = 1024
)

// sticky remembers which domain a key was put on, so that a site in use stays
// where it is when another domain appears. It is bounded; a full shard forgets
// its oldest key, which costs that key nothing but the memory.
type sticky struct {
	seed   maphash.Seed
	shards [stickyShards]stickyShard
}

type stickyShard struct {
	mu   sync.Mutex
	keys map[affinityKey]stuck
}

// stuck is where a key is, and until when.
type stuck struct {
	domain pvd.Key
	until  time.Time
}

func newSticky() *sticky {
	s := &sticky{seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].keys = make(map[affinityKey]stuck)
	}
	return s
}

func (s *sticky) shard(k affinityKey) *stickyShard {
	return &s.shards[maphash.Comparable(s.seed, k)%stickyShards]
}

// lookup returns the instance that k is on, if it was used lately.
func (s *sticky) lookup(k affinityKey, now time.Time) (pvd.Key, bool) {
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	at, ok := sh.keys[k]
	if !ok || now.After(at.until) {
		return pvd.Key{}, false
	}
	return at.domain, true
}

// keep notes that k is on d.
func (s *sticky) keep(k affinityKey, d pvd.Key, now time.Time) {
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, ok := sh.keys[k]; !ok && len(sh.keys) >= stickyPerShard {
		sh.forgetOne(now)
	}
	sh.keys[k] = stuck{d, now.Add(stickyFor)}
}

// forgetOne makes room: the first key found that has expired, or the one that
// expires first among a few.
func (sh *stickyShard) forgetOne(now time.Time) {
	var victim affinityKey
	var oldest time.Time
	looked := 0
	for k, at := range sh.keys {
		if looked == 0 || at.until.Before(oldest) {
			victim, oldest = k, at.until
		}
		if looked++; looked == 16 || now.After(oldest) {
			break
		}
	}
	delete(sh.keys, victim)
}
