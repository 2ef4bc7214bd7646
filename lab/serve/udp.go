package serve

import (
	"net"
	"net/netip"
)

// UDP answers every datagram with a Seen line, a blank and the datagram itself,
// which makes it a reflexive-address server too (the part of STUN, RFC 8489,
// that matters here).
type UDP struct {
	datagrams
	name Namer
}

// NewUDP starts to serve; the server owns c.
func NewUDP(c *net.UDPConn, name Namer) *UDP {
	_ = c.SetReadBuffer(8 << 20) // a smaller one only loses more
	s := &UDP{name: name}
	s.start(c, 65536, s.answer)
	return s
}

func (s *UDP) answer(b []byte, src netip.AddrPort) {
	answer := append([]byte(Seen(src, s.name)+" "), b...)
	_, _ = s.conn.WriteToUDPAddrPort(answer, src) // an answer that is lost is the client's loss
}
