package dns

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// Bounds of the connections to one encrypted resolver.
const (
	maxIdle     = 4
	idleTLS     = 8 * time.Second
	padTo       = 128 // bytes, RFC 8467 4.1
	dohType     = "application/dns-message"
	dohDefault  = "/dns-query"
	dohTemplate = "{?dns}"
)

var errStatus = errors.New("the resolver answered with an HTTP status")

// private asks a resolver that speaks TLS. Its name is proven by its certificate; a
// failure is a failure, never a reason to ask in the clear (RFC 8310, RFC 9463).
func (s *Server) private(ctx context.Context, d *pvd.Domain, in *instance, to pvd.Resolver, r *request) (*wire.Msg, error) {
	if to.Name == "" {
		return nil, fmt.Errorf("ask %s: it has no name to prove", to.Addr)
	}
	if to.Transport == pvd.DoH {
		return s.overHTTPS(ctx, d, in, to, r)
	}
	return s.overTLS(ctx, d, in, to, r)
}

// padded is the query as it is sent inside TLS: its length tells little.
func padded(r *request, id uint16) ([]byte, error) {
	m := r.upstream(id, true)
	m.Compress = true
	opt := m.IsEdns0()
	pad := &wire.EDNS0_PADDING{}
	opt.Option = append(opt.Option, pad)
	pad.Padding = make([]byte, (padTo-m.Len()%padTo)%padTo)
	b, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("encode query: %w", err)
	}
	return b, nil
}

// overTLS asks by DNS over TLS (RFC 7858), on a connection that is there already if
// one is. The resolver may have closed that one, so it gets a second chance.
func (s *Server) overTLS(ctx context.Context, d *pvd.Domain, in *instance, to pvd.Resolver, r *request) (*wire.Msg, error) {
	id := uint16(rand.Uint32())
	query, err := padded(r, id)
	if err != nil {
		return nil, err
	}
	for {
		conn, used := in.channels.take(to.Addr), true
		if conn == nil {
			used = false
			if conn, err = s.dialTLS(ctx, d, to); err != nil {
				return nil, err
			}
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		m, err := askStream(conn, query, id, r.question[0])
		if !stop() || err != nil {
			conn.Close()
		} else {
			in.channels.give(to.Addr, conn)
		}
		if err == nil || !used || ctx.Err() != nil {
			return m, err
		}
	}
}

func (s *Server) dialTLS(ctx context.Context, d *pvd.Domain, to pvd.Resolver) (net.Conn, error) {
	raw, err := s.cfg.Dialer.Dial(ctx, d, "tcp", to.Addr)
	if err != nil {
		return nil, fmt.Errorf("dial tls %s in %s: %w", to.Addr, d.Name, err)
	}
	conn := tls.Client(raw, s.tlsConfig(to, "dot"))
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("prove that %s is %s: %w", to.Addr, to.Name, err)
	}
	return conn, nil
}

func (s *Server) tlsConfig(to pvd.Resolver, proto ...string) *tls.Config {
	return &tls.Config{ServerName: to.Name, RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12, NextProtos: proto}
}

// overHTTPS asks by DNS over HTTPS (RFC 8484).
func (s *Server) overHTTPS(ctx context.Context, d *pvd.Domain, in *instance, to pvd.Resolver, r *request) (*wire.Msg, error) {
	query, err := padded(r, 0) // RFC 8484 4.1
	if err != nil {
		return nil, err
	}
	path := strings.TrimSuffix(to.Path, dohTemplate)
	if path == "" {
		path = dohDefault
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+to.Name+path, bytes.NewReader(query))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", to.Name, err)
	}
	req.Header.Set("Content-Type", dohType)
	req.Header.Set("Accept", dohType)
	resp, err := in.channels.client(to, func() *http.Client { return s.client(d, to) }).Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", to.Name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != dohType {
		return nil, fmt.Errorf("ask %s: %w: %s", to.Name, errStatus, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxMsgSize))
	if err != nil {
		return nil, fmt.Errorf("receive answer: %w", err)
	}
	if !matches(b, 0, r.question[0]) {
		return nil, errMismatch
	}
	return unpack(b)
}

// client makes the HTTP client for one resolver in one domain; it goes to the
// resolver's address whatever the URL says, and follows nobody elsewhere.
func (s *Server) client(d *pvd.Domain, to pvd.Resolver) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return s.cfg.Dialer.Dial(ctx, d, "tcp", to.Addr)
			},
			TLSClientConfig: s.tlsConfig(to), ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleTLS, MaxResponseHeaderBytes: 16 << 10,
		},
	}
}

// channels are an instance's connections to its encrypted resolvers. Safe for
// concurrent use.
type channels struct {
	mu      sync.Mutex
	closed  bool
	idle    map[netip.AddrPort][]idleConn // newest last
	clients map[pvd.Resolver]*http.Client
}

type idleConn struct {
	net.Conn
	since time.Time
}

// take returns an idle connection, or nil.
func (c *channels) take(to netip.AddrPort) net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.idle[to]
	for len(list) > 0 {
		last := list[len(list)-1]
		list = list[:len(list)-1]
		c.idle[to] = list
		if time.Since(last.since) < idleTLS {
			return last.Conn
		}
		last.Close()
	}
	return nil
}

// give keeps a connection for the next question, or closes it.
func (c *channels) give(to netip.AddrPort, conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle[to]) >= maxIdle || len(c.idle) > 2*maxServers {
		conn.Close()
		return
	}
	if c.idle == nil {
		c.idle = make(map[netip.AddrPort][]idleConn)
	}
	c.idle[to] = append(c.idle[to], idleConn{conn, time.Now()})
}

// client returns the client for a resolver, which fresh makes if there is none.
func (c *channels) client(to pvd.Resolver, fresh func() *http.Client) *http.Client {
	to.Until = time.Time{}
	c.mu.Lock()
	defer c.mu.Unlock()
	have := c.clients[to]
	if have == nil {
		if c.clients == nil || len(c.clients) > 2*maxServers {
			c.drop()
			c.clients = make(map[pvd.Resolver]*http.Client)
		}
		have = fresh()
		c.clients[to] = have
	}
	return have
}

// drop lets the idle connections of all clients go. c.mu is held.
func (c *channels) drop() {
	for _, client := range c.clients {
		client.CloseIdleConnections()
	}
}

// close ends what is idle and keeps nothing any more.
func (c *channels) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, list := range c.idle {
		for _, conn := range list {
			conn.Close()
		}
	}
	c.idle = nil
	c.drop()
}
