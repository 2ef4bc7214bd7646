// Package quota shares the places of a bounded table out among those whose flows
// they are for: a LAN's hosts and the users of this host (limits.per_source). It
// must not know what the places are, nor how a user is found out.
package quota

import "net/netip"

// Holder is whom a place is for. The zero Holder is a user of this host whom
// nobody has asked for.
type Holder struct {
	host netip.Addr // of a LAN
	uid  uint32
	kind kind
}

type kind uint8

const (
	unasked kind = iota
	host
	user
	nobody
)

// Host is a LAN's host by its address.
func Host(a netip.Addr) Holder { return Holder{kind: host, host: a} }

// User is a user of this host.
func User(uid uint32) Holder { return Holder{kind: user, uid: uid} }

// Nobody is whom sockets are that the kernel does not know, not any more perhaps.
// All of them together have one share.
func Nobody() Holder { return Holder{kind: nobody} }

// Shares counts the places of one table. It is no lock: its table's guards it.
//
// Whose socket a flow is costs system calls, so users are asked for only while so
// much is taken that it may matter. What was taken before counts against each of
// them: nobody ever holds more than a share, and everybody may hold half of one.
type Shares struct {
	max, share, ask int
	taken           int
	by              map[Holder]int
}

// New returns the shares of a table of max places, of which one holder may have a
// part, 0 < part <= 1.
func New(most int, part float64) *Shares {
	share := max(int(float64(most)*part), 1)
	s := &Shares{max: most, share: share, ask: min(most-share, share/2), by: make(map[Holder]int)}
	if share >= most {
		s.ask = most // what one may have is all there is
	}
	return s
}

// Asks reports whether users have to be asked for.
func (s *Shares) Asks() bool { return s.taken >= s.ask && s.share < s.max }

// Full reports whether no place is left at all.
func (s *Shares) Full() bool { return s.taken >= s.max }

// Spent reports whether h has had its share.
func (s *Shares) Spent(h Holder) bool {
	held := s.by[h]
	if h.kind == user || h.kind == nobody {
		held += s.by[Holder{}]
	}
	return held >= s.share
}

// Competes reports whether a place of other may be taken away in favour of h,
// which has had its share.
func (h Holder) Competes(other Holder) bool {
	return h == other || other == Holder{} && (h.kind == user || h.kind == nobody)
}

// Take counts a place for h.
func (s *Shares) Take(h Holder) {
	s.by[h]++
	s.taken++
}

// Give counts a place of h's as free.
func (s *Shares) Give(h Holder) {
	if s.by[h]--; s.by[h] <= 0 {
		delete(s.by, h)
	}
	s.taken--
}
