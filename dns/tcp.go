package dns

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

// Limits of one client's connection (RFC 7766 6.1-6.2).
const (
	idleLimit   = 10 * time.Second // also for one message to arrive whole
	writeLimit  = 5 * time.Second
	maxPipeline = 32 // queries under way; the next is not read before one is answered
)

// ServeTCP answers the queries of one connection, several at a time and each as
// soon as it is known, until the client or ctx ends it or it falls idle. It
// closes conn and returns when nothing of it is left. Over the limit of
// connections it closes at once.
func (s *Server) ServeTCP(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	from := remote(conn)
	root, why := s.conns.enter(from.Addr())
	if why != admitted {
		s.stats.conns.Add(1)
		return
	}
	defer s.conns.leave(from.Addr())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(root, cancel)()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c := &connection{server: s, conn: conn, from: from, places: make(chan struct{}, maxPipeline)}
	c.serve(ctx)
	c.queries.Wait()
}

// connection is one client's TCP connection.
type connection struct {
	server  *Server
	conn    net.Conn
	from    netip.AddrPort
	places  chan struct{} // full: the reader waits
	queries sync.WaitGroup
	write   sync.Mutex
}

// serve reads queries until the connection ends.
func (c *connection) serve(ctx context.Context) {
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(idleLimit))
		query, err := readMessage(c.conn, maxQuery)
		if err != nil {
			return
		}
		if !looksLikeQuery(query) {
			c.server.stats.malformed.Add(1)
			return
		}
		select {
		case c.places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		c.queries.Go(func() {
			defer func() { <-c.places }()
			c.reply(c.answer(ctx, query))
		})
	}
}

// answer finds the answer to one query, or says that the server is too busy.
func (c *connection) answer(ctx context.Context, query []byte) []byte {
	_, why := c.server.queries.enter(c.from.Addr())
	if why != admitted {
		c.server.stats.turnedAway(why)
		r := header(query)
		return r.pack(r.local(wire.RcodeServerFailure))
	}
	defer c.server.queries.leave(c.from.Addr())
	return c.server.answer(ctx, query, c.from, true)
}

// reply writes one answer; a client that does not read loses its connection.
func (c *connection) reply(answer []byte) {
	if answer == nil {
		return
	}
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	if writeMessage(c.conn, answer) != nil {
		c.conn.Close()
	}
}

// readMessage reads one message with its length (RFC 1035 4.2.2).
func readMessage(r io.Reader, limit int) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n > limit {
		return nil, errTooLong
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// writeMessage writes length and message in one segment (RFC 7766 8).
func writeMessage(w io.Writer, b []byte) error {
	framed := make([]byte, 2, 2+len(b))
	binary.BigEndian.PutUint16(framed, uint16(len(b)))
	_, err := w.Write(append(framed, b...))
	return err
}

// remote returns the client's address, the zero AddrPort if it has none.
func remote(c net.Conn) netip.AddrPort {
	if a, ok := c.RemoteAddr().(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}
