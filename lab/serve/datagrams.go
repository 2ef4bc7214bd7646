package serve

import (
	"net"
	"net/netip"
)

// datagrams is a UDP server from its start until it is closed.
type datagrams struct {
	conn *net.UDPConn
	gone chan struct{}
}

// start has a function handle each datagram, of up to size bytes, which are its own
// until it returns. The server owns conn.
func (s *datagrams) start(conn *net.UDPConn, size int, handle func(b []byte, src netip.AddrPort)) {
	s.conn, s.gone = conn, make(chan struct{})
	go s.run(size, handle)
}

// run ends when the socket is closed.
func (s *datagrams) run(size int, handle func(b []byte, src netip.AddrPort)) {
	defer close(s.gone)
	buf := make([]byte, size)
	for {
		n, src, err := s.conn.ReadFromUDPAddrPort(buf)
		if isClosed(err) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		handle(buf[:n], src)
	}
}

// Close ends the server.
func (s *datagrams) Close() error {
	err := s.conn.Close()
	<-s.gone
	return err
}
