package dns

import (
	"encoding/binary"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/miekg/dns"
)

// Bounds of one domain's cache.
const (
	cacheShards  = 16
	shardEntries = 1024
	shardBytes   = 1 << 20
)

// anyType stands in a key for "whatever the type": the name does not exist.
const anyType = 0

// cache holds what the resolvers of one domain instance answered; nothing of it
// is ever used for another (RFC 6418 4.1-5, RFC 6731 4.8). Each part has a lock of
// its own. Safe for concurrent use.
type cache struct {
	seed   maphash.Seed
	shards [cacheShards]shard

	hits, misses, evicted atomic.Uint64
}

type shard struct {
	mu      sync.Mutex
	entries map[string]*entry // by cacheKey
	bytes   int
}

func newCache() *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].entries = make(map[string]*entry)
	}
	return c
}

// appendKey appends the key of a name (lower case, with the final dot) and a type.
// Clients that want signatures or unchecked data get answers of their own.
func appendKey(b []byte, name string, qtype uint16, do, cd bool) []byte {
	return appendKind(append(b, name...), qtype, do, cd)
}

func appendKind(b []byte, qtype uint16, do, cd bool) []byte {
	var flags byte
	if do {
		flags |= 1
	}
	if cd {
		flags |= 2
	}
	return append(binary.BigEndian.AppendUint16(b, qtype), flags)
}

func (c *cache) shard(key []byte) *shard { return &c.shards[maphash.Bytes(c.seed, key)%cacheShards] }

// get returns the living entry of a key, or nil. It does not allocate.
func (c *cache) get(key []byte, now time.Time) *entry {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[string(key)]
	if e == nil || e.expired(now) {
		return nil
	}
	return e
}

// find returns the living answer to r: its own, or that its name, or one above it,
// does not exist (RFC 8020). A client that wants signatures gets only what was
// signed for its own name.
func (c *cache) find(r *request, now time.Time) *entry {
	var buf [300]byte
	if e := c.get(appendKey(buf[:0], r.name, r.qtype, r.do, r.cd), now); e != nil {
		return e
	}
	if e := c.get(appendKey(buf[:0], r.name, anyType, r.do, r.cd), now); e != nil {
		if e.qtype == r.qtype {
			return e
		}
		return e.about(r)
	}
	if r.do || strings.Contains(r.name, `\\`) {
		return nil
	}
	for name := r.name; ; {
		_, above, ok := strings.Cut(name, ".")
		if !ok || above == "" {
			return nil
		}
		name = above
		if e := c.get(appendKey(buf[:0], name, anyType, r.do, r.cd), now); e != nil {
			return e.about(r)
		}
	}
}

// put keeps an entry, unless it may not be kept.
func (c *cache) put(r *request, e *entry) {
	qtype := r.qtype
	if e.msgRcode == wire.RcodeNameError && !e.aliased() { // else the end of an alias is denied, not its beginning
		qtype = anyType
	}
	if e.life <= 0 {
		return
	}
	key := appendKey(nil, r.name, qtype, r.do, r.cd)
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(string(key))
	for len(s.entries) >= shardEntries || s.bytes+e.cost() > shardBytes && len(s.entries) > 0 {
		s.evict(e.stored)
		c.evicted.Add(1)
	}
	s.entries[string(key)] = e
	s.bytes += e.cost()
}

func (s *shard) drop(key string) {
	if old, ok := s.entries[key]; ok {
		s.bytes -= old.cost()
		delete(s.entries, key)
	}
}

// evict drops the entry of a few that has the least time left.
func (s *shard) evict(now time.Time) {
	const sample = 8
	victim, left := "", time.Duration(-1)
	n := 0
	for k, e := range s.entries {
		if rest := e.life - now.Sub(e.stored); left < 0 || rest < left {
			victim, left = k, max(rest, 0)
		}
		if n++; n == sample {
			break
		}
	}
	s.drop(victim)
}

// flush drops the entries that gone wants gone, nil: all.
func (c *cache) flush(gone func(*entry) bool) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for k, e := range s.entries {
			if gone == nil || gone(e) {
				s.drop(k)
			}
		}
		s.mu.Unlock()
	}
}

// list returns the living entries in no order.
func (c *cache) list(now time.Time) []*entry {
	var out []*entry
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, e := range s.entries {
			if !e.expired(now) {
				out = append(out, e)
			}
		}
		s.mu.Unlock()
	}
	return out
}

// aliased reports whether the answer begins with an alias.
func (e *entry) aliased() bool {
	_, an, _, _ := counts(e.wire)
	return an > 0
}

// about restates a denial for the question of r; nil if that cannot be.
func (e *entry) about(r *request) *entry {
	var m wire.Msg
	if m.Unpack(e.wire) != nil {
		return nil
	}
	own, err := newEntry(&m, r, e.stored)
	if err != nil {
		return nil
	}
	own.life, own.reasons = e.life, e.reasons
	return own
}
