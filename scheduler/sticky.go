package scheduler

import (
	"sync"
	"sync/atomic"
	"time"

	"mifvif/pvd"
)

// How long after its last decision a key stays where it was, and how long with
// the persistent algorithm.
const (
	stickyFor     = 10 * time.Minute
	persistentFor = 24 * time.Hour
)

// Bounds of the affinity memory: 65,536 keys, 5 MiB.
const (
	stickyShards  = 64
	stickyBuckets = 128 // of one shard
	stickyWays    = 8   // keys of one bucket
)

// sticky remembers which domain instance a key was put on, so that a site in use
// stays where it is when another domain appears. It is a bounded cache: in a
// full bucket the key that was idle for longest is forgotten, which costs that
// key nothing but the memory. It does not allocate; safe for concurrent use.
type sticky struct {
	began   time.Time
	evicted atomic.Uint64 // keys forgotten before their time
	shards  [stickyShards]stickyShard
}

type stickyShard struct {
	mu      sync.Mutex
	buckets [stickyBuckets][stickyWays]stuck
}

// stuck is where a key is, and until when; the zero stuck is free.
type stuck struct {
	key    uint64
	domain pvd.Key
	until  time.Duration // since sticky.began
	rival  pvd.Key       // a domain that is better, as far as anybody asked
	since  time.Duration // when it began to be
}

func newSticky() *sticky { return &sticky{began: time.Now()} }

func (s *sticky) bucket(key uint64) (*stickyShard, *[stickyWays]stuck) {
	sh := &s.shards[key%stickyShards]
	return sh, &sh.buckets[key/stickyShards%stickyBuckets]
}

// lookup returns the instance that key is on, if it was used lately.
func (s *sticky) lookup(key uint64) (pvd.Key, bool) {
	now := time.Since(s.began)
	sh, bucket := s.bucket(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range bucket {
		if e := &bucket[i]; e.key == key && e.until > now {
			return e.domain, true
		}
	}
	return pvd.Key{}, false
}

// keep notes that key is on d and in use.
func (s *sticky) keep(key uint64, d pvd.Key, persistent bool) {
	lasts := stickyFor
	if persistent {
		lasts = persistentFor
	}
	now := time.Since(s.began)
	sh, bucket := s.bucket(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	at := &bucket[0]
	for i := range bucket {
		if bucket[i].key == key {
			at = &bucket[i]
			break
		}
		if bucket[i].until < at.until {
			at = &bucket[i]
		}
	}
	if at.key != key && at.until > now {
		s.evicted.Add(1)
	}
	if at.key != key || at.domain != d {
		*at = stuck{key: key, domain: d}
	}
	at.until = now + lasts
}

// rival notes that another domain is better for a key that is kept, none if it
// is zero, and returns for how long the same one has been. Unless note is set it
// only looks.
func (s *sticky) rival(key uint64, d pvd.Key, note bool) time.Duration {
	now := time.Since(s.began)
	sh, bucket := s.bucket(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range bucket {
		e := &bucket[i]
		switch {
		case e.key != key || e.until <= now:
		case e.rival == d:
			return now - e.since
		case note:
			e.rival, e.since = d, now
		}
	}
	return 0
}
