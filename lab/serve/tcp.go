package serve

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
)

// Namer says which network an address belongs to, "" if it is nobody's.
type Namer func(netip.Addr) string

// Seen is the line by which servers say whom they see: "SRC=192.0.2.1:4242
// NET=n1".
func Seen(src netip.AddrPort, name Namer) string {
	src = netip.AddrPortFrom(src.Addr().Unmap(), src.Port())
	return fmt.Sprintf("SRC=%v NET=%s", src, name(src.Addr()))
}

// ParseSeen reads a line made by Seen; ok is false for any other.
func ParseSeen(line string) (src netip.AddrPort, network string, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "SRC=") || !strings.HasPrefix(fields[1], "NET=") {
		return src, "", false
	}
	src, err := netip.ParseAddrPort(fields[0][len("SRC="):])
	return src, fields[1][len("NET="):], err == nil
}

// A Handler serves one connection; the server closes it afterwards.
type Handler func(*net.TCPConn)

// TCP serves connections of one listener.
type TCP struct {
	listener *net.TCPListener
	handle   Handler
	working  sync.WaitGroup

	mu     sync.Mutex
	live   map[*net.TCPConn]bool
	closed bool
}

// NewTCP starts to serve; the server owns l.
func NewTCP(l *net.TCPListener, handle Handler) *TCP {
	s := &TCP{listener: l, handle: handle, live: make(map[*net.TCPConn]bool)}
	s.working.Add(1)
	go s.accept()
	return s
}

// accept ends when the listener is closed.
func (s *TCP) accept() {
	defer s.working.Done()
	for {
		c, err := s.listener.AcceptTCP()
		if err != nil {
			return
		}
		if !s.begin(c) {
			c.Close()
			return
		}
		go s.serve(c)
	}
}

func (s *TCP) begin(c *net.TCPConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.live[c] = true
	s.working.Add(1)
	return true
}

func (s *TCP) serve(c *net.TCPConn) {
	defer s.working.Done()
	s.handle(c)
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, c)
}

// Live returns how many connections are open.
func (s *TCP) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

// Close ends the listener and all connections and waits for them.
func (s *TCP) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.live {
		c.Close()
	}
	s.mu.Unlock()
	s.working.Wait()
	return err
}

func peer(c *net.TCPConn) netip.AddrPort { return c.RemoteAddr().(*net.TCPAddr).AddrPort() }

// Echo greets with a Seen line and then returns every byte until the client
// has finished.
func Echo(name Namer) Handler {
	return func(c *net.TCPConn) {
		if _, err := fmt.Fprintln(c, Seen(peer(c), name)); err == nil {
			_, _ = io.Copy(plain{c}, c) // the client tells how it ended
		}
	}
}

// Count reads until the client has finished its direction, then answers
// "GOT=<bytes>": an answer proves that half-close passed.
func Count(c *net.TCPConn) {
	n, err := io.Copy(io.Discard, c)
	if err == nil {
		fmt.Fprintf(c, "GOT=%d\n", n)
	}
}

// Source reads a line with a number and sends as many bytes of Pattern.
func Source(c *net.TCPConn) {
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return
	}
	n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err == nil {
		_, _ = io.Copy(c, io.LimitReader(&Pattern{}, n))
	}
}

// CloseFirst answers with a Seen line and closes at once: the server keeps the
// TIME_WAIT state and the client may use its port again.
func CloseFirst(name Namer) Handler {
	return func(c *net.TCPConn) { fmt.Fprintln(c, Seen(peer(c), name)) }
}

// Reset answers with a Seen line, waits for a byte and resets the connection.
func Reset(name Namer) Handler {
	return func(c *net.TCPConn) {
		fmt.Fprintln(c, Seen(peer(c), name))
		_, _ = c.Read(make([]byte, 1))
		_ = c.SetLinger(0)
	}
}

// Pattern is an endless stream of bytes in which every position shows: a lost,
// doubled or swapped part is found by Write. The zero value starts at 0.
type Pattern struct{ at uint64 }

// Read fills b with the pattern.
func (p *Pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = patternByte(p.at)
		p.at++
	}
	return len(b), nil
}

// Write checks that b continues the pattern.
func (p *Pattern) Write(b []byte) (int, error) {
	for i := range b {
		if b[i] != patternByte(p.at) {
			return i, fmt.Errorf("byte %d of the stream is %#02x, want %#02x", p.at, b[i], patternByte(p.at))
		}
		p.at++
	}
	return len(b), nil
}

func patternByte(at uint64) byte { return byte(at ^ at>>8 ^ at>>16) }

// plain hides from io.Copy that a connection can splice: an idle splice keeps a
// pipe, and thousands of them all the file descriptors there are.
type plain struct{ io.Writer }
