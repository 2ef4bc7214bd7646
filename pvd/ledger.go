package pvd

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of what networks can make us remember. They are of each link by itself:
// a flood on one costs another nothing (RFC 6418 6-2).
const (
	maxLinks   = 1024
	maxVoices  = 16 // of one link and kind of source
	maxRouters = 8  // domains that routers of one link make
	// strangerFor is how long reports of a link are kept that the kernel has not
	// told us of.
	strangerFor = 10 * time.Second
)

// ledger is what the networks have said and is still true, link by link. Safe
// for concurrent use.
type ledger struct {
	mu      sync.Mutex
	links   map[int]*heard
	refused uint64
}

// heard is what was heard on one link, each sender in the order of its first
// word.
type heard struct {
	attached bool // the link was up when domains were built last
	began    time.Time
	voices   []*voice
}

func newLedger() *ledger { return &ledger{links: make(map[int]*heard)} }

// learn takes a report in; it reports whether there was room for it.
func (l *ledger) learn(r *Report) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.links[r.Ifindex]
	if h == nil {
		if len(l.links) >= maxLinks {
			l.refused++
			return false
		}
		h = &heard{began: r.Received}
		l.links[r.Ifindex] = h
	}
	v := h.find(r)
	if v == nil {
		if v = h.welcome(r); v == nil {
			l.refused++
			return false
		}
	}
	v.hear(r)
	if r.Origin == FromRA {
		h.moved(v, r)
	}
	return true
}

func (h *heard) find(r *Report) *voice {
	for _, v := range h.voices {
		if v.origin == r.Origin && v.sender == r.Sender && v.id == r.ID {
			return v
		}
	}
	return nil
}

// welcome makes a voice for a new sender, nil if the link has enough of them.
// Those that were first stay: whoever can flood a link could as well take its
// router's place, but not with a few messages a second.
func (h *heard) welcome(r *Report) *voice {
	v := &voice{origin: r.Origin, sender: r.Sender, id: r.ID}
	same := 0
	domains := map[any]bool{}
	for _, o := range h.voices {
		if o.origin != r.Origin {
			continue
		}
		same++
		domains[o.domain()] = true
	}
	if r.Origin == FromRA && r.ID == "" {
		v.seat = h.seat(v, r)
	}
	domains[v.domain()] = true
	if same >= maxVoices || r.Origin == FromRA && len(domains) > maxRouters {
		return nil
	}
	h.voices = append(h.voices, v)
	return v
}

// domain names what a router's voice is about, on its link.
func (v *voice) domain() any {
	if v.id != "" {
		return v.id
	}
	return v.seat
}

// seat says to which implicit domain a new router belongs. Each router is one of
// its own (RFC 8801 3.4), the first is the link's; but routers that advertise the
// same prefix, and those that advertise none, are ways out of one network (RFC
// 4861 6.3.6) and not two networks that fight for an address.
func (h *heard) seat(v *voice, r *Report) netip.Addr {
	first := true
	trial := &voice{said: *r}
	for _, o := range h.voices {
		if o.origin != FromRA || o.id != "" {
			continue
		}
		if o.advertises(trial) {
			return o.seat
		}
		first = first && o.seat.IsValid()
	}
	if first || len(r.Adverts) == 0 {
		return netip.Addr{}
	}
	return v.sender
}

// moved takes from the other routers' domains what v's has provisioned now. A
// voice of the same router that is left without anything has become v.
func (h *heard) moved(v *voice, r *Report) {
	h.voices = slices.DeleteFunc(h.voices, func(o *voice) bool {
		if o == v || o.origin != FromRA || o.id == v.id {
			return false
		}
		if o.sender != v.sender {
			o.said.Adverts = without(o.said.Adverts, r.Adverts)
			for _, ad := range r.Adverts {
				o.leave(ad.Prefix)
			}
			return false
		}
		o.yield(r)
		return !o.holds()
	})
}

// sweep forgets what is over, and everything of links that were lost: those that
// were up and are not any more.
func (l *ledger) sweep(now time.Time, up map[int]bool) {
	for index, h := range l.links {
		switch {
		case up[index]:
			h.attached = true
		case h.attached || now.Sub(h.began) > strangerFor:
			delete(l.links, index)
			continue
		}
		h.voices = slices.DeleteFunc(h.voices, func(v *voice) bool {
			v.expire(now)
			return v.silent()
		})
	}
}

// next returns when something is over, zero if nothing ever is.
func (l *ledger) next() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	var at time.Time
	for _, h := range l.links {
		for _, v := range h.voices {
			at = earlier(at, v.next())
		}
	}
	return at
}

// on returns the voices of a link, the routers' first.
func (l *ledger) on(ifindex int) []*voice {
	h := l.links[ifindex]
	if h == nil {
		return nil
	}
	out := slices.Clone(h.voices)
	slices.SortStableFunc(out, func(a, b *voice) int { return cmp.Compare(a.rank(), b.rank()) })
	return out
}

// rank is the order in which resolvers of one domain are asked: those DHCP named
// come first (RFC 8106 5.3.1), DHCPv6's before DHCPv4's (RFC 6731 4.6).
func (v *voice) rank() int {
	return slices.Index([]Origin{FromDHCPv6, FromDHCPv4, FromRA, FromJSON, FromManager}, v.origin)
}

// SentToDHCPv6 reports whether a router of the link says that DHCPv6 knows more
// (RFC 4861 4.2: M or O). Safe for concurrent use.
func (b *Builder) SentToDHCPv6(ifindex int) bool { return b.ledger.sent(ifindex) }

func (l *ledger) sent(ifindex int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.links[ifindex]
	return h != nil && slices.ContainsFunc(h.voices, (*voice).sends)
}
