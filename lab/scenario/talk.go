package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// answerWithin bounds one question to a server. It is generous: a scenario that
// fails by it has met silence.
const answerWithin = 5 * time.Second

// endWithin bounds how long an app may be left in the dark about a dead flow.
const endWithin = 5 * time.Second

// A Talk is an app's open conversation with an echo peer.
type Talk struct {
	Source  netip.AddrPort // whom the peer sees
	Network string         // by which network

	conn net.Conn
	in   *bufio.Reader
	said int
}

// dial connects the host to a server, with d for that and as much for all that is
// said over the connection.
func (e *Env) dial(ctx context.Context, dst netip.AddrPort, d time.Duration) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	conn, err := e.Host.DialTCP(ctx, dst, lab.SocketOptions{})
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(d))
	return conn, nil
}

// Talk connects an app to an echo peer and reads its greeting.
func (e *Env) Talk(ctx context.Context, dst netip.AddrPort, opt lab.SocketOptions) (*Talk, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	conn, err := e.App.DialTCP(ctx, dst, opt)
	if err != nil {
		return nil, err
	}
	t := &Talk{conn: conn, in: bufio.NewReader(conn)}
	if err := t.greeting(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("greeting of %v: %w", dst, err)
	}
	return t, nil
}

func (t *Talk) greeting() error {
	line, err := t.line()
	if err != nil {
		return err
	}
	var ok bool
	if t.Source, t.Network, ok = serve.ParseSeen(line); !ok {
		return fmt.Errorf("not a greeting: %q", line)
	}
	return nil
}

func (t *Talk) line() (string, error) {
	if err := t.conn.SetReadDeadline(time.Now().Add(answerWithin)); err != nil {
		return "", err
	}
	line, err := t.in.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// Say sends a line and checks that the very same comes back.
func (t *Talk) Say() error {
	t.said++
	want := fmt.Sprintf("line %d", t.said)
	if _, err := fmt.Fprintln(t.conn, want); err != nil {
		return err
	}
	got, err := t.line()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("said %q, heard %q", want, got)
	}
	return nil
}

// Ends waits until the conversation is broken off from outside.
func (t *Talk) Ends(patience time.Duration) error {
	_ = t.conn.SetReadDeadline(time.Now().Add(patience))
	_, err := t.in.ReadByte()
	if err == nil {
		return fmt.Errorf("%v said something unasked", t.conn.RemoteAddr())
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the flow to %v by %s hangs: no end after %v", t.conn.RemoteAddr(), t.Network, patience)
	}
	return nil
}

// Close ends the conversation.
func (t *Talk) Close() { t.conn.Close() }

// Ask opens a conversation, says a line, and returns what the peer saw.
func (e *Env) Ask(ctx context.Context, dst netip.AddrPort, opt lab.SocketOptions) (*Talk, error) {
	t, err := e.Talk(ctx, dst, opt)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	if err := t.Say(); err != nil {
		return nil, fmt.Errorf("talk with %v: %w", dst, err)
	}
	return t, nil
}

// AskUDP sends one datagram from a socket of its own and returns what the peer
// saw. A lost datagram is repeated.
func (e *Env) AskUDP(dst netip.AddrPort, opt lab.SocketOptions) (*Talk, error) {
	conn, err := e.App.DialUDP(dst, opt)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	const tries = 3
	for range tries {
		var t Talk
		if t.Source, t.Network, err = askOnce(conn, time.Second); err == nil {
			return &t, nil
		}
	}
	return nil, fmt.Errorf("ask %v by UDP: %w", dst, err)
}

// askOnce sends one datagram on a connected socket and returns what the peer
// saw.
func askOnce(conn net.Conn, patience time.Duration) (src netip.AddrPort, network string, err error) {
	if _, err := conn.Write([]byte("hello")); err != nil {
		return src, "", err // also an ICMP error of the datagram before
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return src, "", err
	}
	buf := make([]byte, 2000)
	n, err := conn.Read(buf)
	if err != nil {
		return src, "", err
	}
	src, network, ok := serve.ParseSeen(string(buf[:n]))
	if !ok {
		return src, "", fmt.Errorf("not an answer: %q", buf[:n])
	}
	return src, network, nil
}

// A Socket is an app's UDP socket that goes on asking one peer.
type Socket struct {
	conn   *net.UDPConn
	mapped netip.AddrPort // where the peer sees it
}

// sockets opens UDP sockets, all of them carried by one network.
func (e *Env) sockets(opt lab.SocketOptions, count int, network string, dst ...netip.AddrPort) ([]*Socket, error) {
	var open []*Socket
	for i := range count {
		conn, err := e.Host.DialUDP(dst[i%len(dst)], opt)
		if err != nil {
			closeSockets(open)
			return nil, err
		}
		s := &Socket{conn: conn}
		open = append(open, s)
		by := ""
		if s.mapped, by, err = askOnce(conn, answerWithin); err != nil || by != network {
			closeSockets(open)
			return nil, fmt.Errorf("UDP to %v was carried by %q, want %q: %w", dst[i%len(dst)], by, network, err)
		}
	}
	return open, nil
}

func closeSockets(all []*Socket) {
	for _, s := range all {
		s.conn.Close()
	}
}

// Say asks once, without repeating a datagram that is lost, and wants the peer to
// see the socket where it has always been.
func (s *Socket) Say() error {
	src, _, err := askOnce(s.conn, answerWithin)
	if err == nil && src != s.mapped {
		err = fmt.Errorf("the socket was seen as %v, then as %v", s.mapped, src)
	}
	return err
}

// Carried returns an error unless new TCP and UDP flows to dst, opened with
// opt, are carried by a network with a source of that network.
func (e *Env) Carried(ctx context.Context, network string, dst netip.AddrPort, opt lab.SocketOptions) error {
	t, err := e.Ask(ctx, dst, opt)
	if err != nil {
		return err
	}
	u, err := e.AskUDP(dst, opt)
	if err != nil {
		return err
	}
	for proto, seen := range map[string]*Talk{"tcp": t, "udp": u} {
		if seen.Network != network {
			return fmt.Errorf("%s to %v was carried by %q (source %v), want %q", proto, dst, seen.Network, seen.Source, network)
		}
	}
	return nil
}

// all has count new flows, which must all be carried by one network.
func (e *Env) all(ctx context.Context, count int, network string, dst netip.AddrPort, opt lab.SocketOptions) error {
	for range count {
		t, err := e.Ask(ctx, dst, opt)
		if err != nil {
			return err
		}
		if t.Network != network {
			return fmt.Errorf("a flow to %v was carried by %s, want %s", dst, t.Network, network)
		}
	}
	return nil
}
