package scheduler

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/pvd"
)

// Way is what flows have shown of the way to one destination prefix in one
// domain instance: RFC 1122's route cache brought back (RFC 6418 3.3-3).
type Way struct {
	RTT      time.Duration // smoothed, 0 if none was measured
	Loss     float64       // share of segments that were sent again, 0 to 1
	Rate     uint64        // of delivery, bits per second, 0 if not known
	Failures int           // connects without an answer since the last answer
	Samples  int
	Age      time.Duration // since the last sample
}

// Sample is what one flow has shown: at its connect, now and then, or at its end.
// A zero field says nothing.
type Sample struct {
	RTT        time.Duration
	Sent, Lost uint64 // segments
	Rate       uint64 // bits per second
	Silent     bool   // a connect that got no answer
}

// Bounds of the path memory: 32,768 paths, and how long one is believed.
const (
	pathShards   = 32
	pathBuckets  = 128
	pathWays     = 8
	pathFor      = 10 * time.Minute
	failingFor   = time.Minute
	failingAfter = 2 // silent connects
)

// Prefixes that share a path (RFC 6418 3.3-3 leaves them open): what is routed
// as one on the Internet.
const (
	pathBits4 = 24
	pathBits6 = 48
)

// paths is the memory. Its entries are of one attachment of a domain, so that
// nothing is taken over when a network comes back; it is a bounded cache like
// sticky. It does not allocate; safe for concurrent use.
type paths struct {
	began   time.Time
	evicted atomic.Uint64
	shards  [pathShards]pathShard

	mu     sync.Mutex
	wholes [pvd.MaxDomains]trail // of all ways in a domain together, by slot
}

type pathShard struct {
	mu      sync.Mutex
	buckets [pathBuckets][pathWays]trail
}

// trail is one remembered path; the zero trail is free.
type trail struct {
	domain   pvd.Key
	prefix   uint64 // hash of the prefix
	rtt      time.Duration
	least    time.Duration // the shortest, which longer ones draw along slowly
	loss     float64
	rate     uint64
	failures int
	samples  int
	at       time.Duration // of the last sample, since paths.began
}

func newPaths() *paths { return &paths{began: time.Now()} }

// pathPrefix returns the hash of the prefix that dst lies in.
func pathPrefix(dst netip.Addr) uint64 {
	dst = dst.Unmap()
	bits := pathBits4
	if dst.Is6() {
		bits = pathBits6
	}
	p, err := dst.WithZone("").Prefix(bits)
	if err != nil {
		return 0
	}
	return finish(hashAddr(hashSeed, p.Addr()))
}

func (p *paths) bucket(d pvd.Key, prefix uint64) (*pathShard, *[pathWays]trail) {
	h := finish(mix(mix(prefix, uint64(d.Slot)), d.Attached))
	sh := &p.shards[h%pathShards]
	return sh, &sh.buckets[h/pathShards%pathBuckets]
}

// lookup returns what is known and not too old.
func (p *paths) lookup(d pvd.Key, prefix uint64) (trail, time.Duration, bool) {
	now := time.Since(p.began)
	sh, bucket := p.bucket(d, prefix)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range bucket {
		if t := &bucket[i]; t.samples > 0 && t.domain == d && t.prefix == prefix && now-t.at < pathFor {
			return *t, now - t.at, true
		}
	}
	return trail{}, 0, false
}

// learn adds a sample and returns what is known now. In a full bucket the path
// that was not used for longest is forgotten.
func (p *paths) learn(d pvd.Key, prefix uint64, s Sample) trail {
	now := time.Since(p.began)
	sh, bucket := p.bucket(d, prefix)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	at := &bucket[0]
	for i := range bucket {
		t := &bucket[i]
		if t.samples > 0 && t.domain == d && t.prefix == prefix {
			at = t
			break
		}
		if t.samples == 0 && at.samples > 0 || at.samples > 0 && t.at < at.at {
			at = t
		}
	}
	if at.domain != d || at.prefix != prefix || now-at.at >= pathFor {
		if at.samples > 0 && now-at.at < pathFor {
			p.evicted.Add(1)
		}
		*at = trail{domain: d, prefix: prefix}
	}
	at.add(s)
	at.at = now
	p.sum(d, s, now)
	return *at
}

// sum adds a sample to what is known of a domain as a whole.
func (p *paths) sum(d pvd.Key, s Sample, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	whole := &p.wholes[d.Slot%pvd.MaxDomains]
	if whole.domain != d {
		*whole = trail{domain: d}
	}
	whole.add(s)
	whole.at = now
}

// whole returns what all ways in a domain together are like, if that is not too
// old.
func (p *paths) whole(d pvd.Key) (trail, time.Duration, bool) {
	now := time.Since(p.began)
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.wholes[d.Slot%pvd.MaxDomains]
	return t, now - t.at, t.samples > 0 && t.domain == d && now-t.at < pathFor
}

// add smooths a sample in, as RFC 6298 2.3 does with round-trip times.
func (t *trail) add(s Sample) {
	t.samples++
	if s.Silent {
		t.failures++
		return
	}
	t.failures = 0
	switch {
	case s.RTT > 0 && (t.least == 0 || s.RTT < t.least):
		t.least = s.RTT
	case s.RTT > 0: // a path that has become longer is not full for ever
		t.least += min(s.RTT-t.least, t.least) / 32
	}
	switch {
	case s.RTT <= 0:
	case t.rtt == 0:
		t.rtt = s.RTT
	default:
		t.rtt += (s.RTT - t.rtt) / 8
	}
	if s.Sent > 0 {
		lost := min(float64(s.Lost)/float64(s.Sent), 1)
		t.loss += (lost - t.loss) / 8
	}
	if s.Rate > 0 {
		t.rate = s.Rate
	}
}

// failing reports whether connects get no answer there lately.
func (t *trail) failing(age time.Duration) bool {
	return t.failures >= failingAfter && age < failingFor
}

// answers returns the round trip where flows were answered, and nothing has been
// silent since, else 0.
func (t *trail) answers() time.Duration {
	if t.failures > 0 {
		return 0
	}
	return t.rtt
}

// lossCost is how much a path costs for its losses: with 10 % of the segments
// lost it is as bad as one with twice the round-trip time.
const lossCost = 10

// cost is what latency is compared by, 0 if it is not known.
func (t *trail) cost() time.Duration {
	return t.rtt + time.Duration(float64(t.rtt)*t.loss*lossCost)
}

// Learn takes what a flow has shown of the way to dst in a domain instance. It
// does not allocate and may be called for every flow; safe for concurrent use.
func (s *Scheduler) Learn(d pvd.Key, dst netip.Addr, sample Sample) {
	t := s.paths.learn(d, pathPrefix(dst), sample)
	if sample.RTT > 0 && sample.Sent == 0 { // a connect
		s.loads.slow[d.Slot%pvd.MaxDomains].note(t.slow(sample.RTT))
	}
}

// Way returns what is remembered of the way to dst in d; ok is false if nothing
// is.
func (s *Scheduler) Way(d pvd.Key, dst netip.Addr) (Way, bool) {
	t, age, ok := s.paths.lookup(d, pathPrefix(dst))
	return Way{t.rtt, t.loss, t.rate, t.failures, t.samples, age}, ok
}

// Quality returns what flows have shown of a domain as a whole, wherever they go;
// ok is false if nothing is known.
func (s *Scheduler) Quality(d pvd.Key) (Way, bool) {
	t, age, ok := s.paths.whole(d)
	return Way{t.rtt, t.loss, t.rate, t.failures, t.samples, age}, ok
}
