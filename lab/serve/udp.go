package serve

import (
	"net"
	"sync/atomic"
)

// UDP answers every datagram with a Seen line, a blank and the datagram itself,
// which makes it a reflexive-address server too (the part of STUN, RFC 8489,
// that matters here).
type UDP struct {
	conn     *net.UDPConn
	name     Namer
	answered atomic.Uint64
	gone     chan struct{}
}

// NewUDP starts to serve; the server owns c.
func NewUDP(c *net.UDPConn, name Namer) *UDP {
	_ = c.SetReadBuffer(8 << 20) // a smaller one only loses more
	s := &UDP{conn: c, name: name, gone: make(chan struct{})}
	go s.run()
	return s
}

// run ends when the socket is closed.
func (s *UDP) run() {
	defer close(s.gone)
	buf := make([]byte, 65536)
	for {
		n, src, err := s.conn.ReadFromUDPAddrPort(buf)
		if isClosed(err) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		answer := append([]byte(Seen(src, s.name)+" "), buf[:n]...)
		if _, err := s.conn.WriteToUDPAddrPort(answer, src); err == nil {
			s.answered.Add(1)
		}
	}
}

// Answered returns how many datagrams were answered.
func (s *UDP) Answered() uint64 { return s.answered.Load() }

// Close ends the server.
func (s *UDP) Close() error {
	err := s.conn.Close()
	<-s.gone
	return err
}
