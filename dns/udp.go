package dns

import (
	"bytes"
	"net/netip"
)

// ServeUDP takes in one datagram sent to the resolver's address and returns at
// once: it never blocks the reader. Reply is called at most once, later, from
// another goroutine, with the whole answer, which it may keep. What is no query
// and what is over a limit is dropped and counted; query is copied.
func (s *Server) ServeUDP(query []byte, from netip.AddrPort, reply func([]byte)) {
	if !looksLikeQuery(query) {
		s.stats.malformed.Add(1)
		return
	}
	ctx, why := s.queries.enter(from.Addr())
	if why != admitted {
		s.stats.turnedAway(why)
		return
	}
	query = bytes.Clone(query)
	go func() {
		defer s.queries.leave(from.Addr())
		if answer := s.answer(ctx, query, from, false); answer != nil {
			reply(answer)
		}
	}()
}
