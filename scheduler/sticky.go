package scheduler

import (
	"sync"
	"sync/atomic"
	"time"

	"mifvif/pvd"
)

// stickyFor is how long after its last decision a key stays where it was.
const stickyFor = 10 * time.Minute

// Bounds of the affinity memory: 65,536 keys, 2 MiB.
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
func (s *sticky) keep(key uint64, d pvd.Key) {
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
	*at = stuck{key, d, now + stickyFor}
}
