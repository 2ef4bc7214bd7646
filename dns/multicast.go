package dns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// Multicast DNS (RFC 6762): one-shot queries of an app's name on one link.
const (
	multicastPort = 5353
	firstRound    = 300 * time.Millisecond
	lastRound     = time.Second
)

// MulticastFunc opens a socket that sends to multicast groups of d's link and no
// other, with a source port that is not 5353. The caller closes it.
type MulticastFunc func(d *pvd.Domain) (net.PacketConn, error)

// byMulticast reports whether a name is asked on d's link instead of d's resolvers:
// names below local of a domain that is marked as theirs by the zone, unless the
// configuration names servers for it (RFC 6762 3, RFC 6761).
func (s *Server) byMulticast(d *pvd.Domain, name string) bool {
	return s.cfg.Multicast != nil && topLabel(name) == "local" &&
		!slices.ContainsFunc(d.Resolvers, func(r pvd.Resolver) bool { return r.Origin == pvd.FromConfig })
}

// multicast asks the neighbours on d's link. Nobody's answer is a denial: there is
// nobody else to ask.
func (s *Server) multicast(ctx context.Context, d *pvd.Domain, r *request) (*entry, error) {
	conn, err := s.cfg.Multicast(d)
	if err != nil {
		return nil, fmt.Errorf("ask the neighbours on %s: %w", d.Interface, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	id := uint16(rand.Uint32())
	query, err := r.upstream(id, false).Pack()
	if err != nil {
		return nil, fmt.Errorf("encode query: %w", err)
	}
	for _, wait := range []time.Duration{firstRound, lastRound} {
		if _, err := conn.WriteTo(query, group(conn)); err != nil {
			return nil, fmt.Errorf("ask the neighbours on %s: %w", d.Interface, err)
		}
		m, from, err := s.hear(ctx, conn, d, r, id, wait)
		if err == nil {
			e, err := newEntry(m, r, time.Now())
			if err == nil {
				e.server = from
			}
			return e, err
		}
		if !errors.Is(err, errNoAnswer) {
			return nil, err
		}
	}
	none := new(wire.Msg)
	none.Response, none.RecursionAvailable, none.Rcode = true, true, wire.RcodeNameError
	return newEntry(none, r, time.Now())
}

// group is where a socket of either family asks.
func group(conn net.PacketConn) net.Addr {
	if a, ok := conn.LocalAddr().(*net.UDPAddr); ok && a.AddrPort().Addr().Unmap().Is4() {
		return net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{224, 0, 0, 251}), multicastPort))
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 15: 0xfb}), multicastPort))
}

// hear waits for an answer of a neighbour; what comes from elsewhere is not one (RFC
// 6762 11).
func (s *Server) hear(ctx context.Context, conn net.PacketConn, d *pvd.Domain, r *request, id uint16, wait time.Duration) (*wire.Msg, netip.AddrPort, error) {
	if ctx.Err() == nil {
		_ = conn.SetReadDeadline(time.Now().Add(wait))
	}
	b := make([]byte, datagramSize)
	for range maxMismatches {
		n, addr, err := conn.ReadFrom(b)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil {
			return nil, netip.AddrPort{}, errNoAnswer
		}
		if err != nil {
			return nil, netip.AddrPort{}, fmt.Errorf("hear the neighbours on %s: %w", d.Interface, err)
		}
		from := netip.AddrPort{}
		if u, ok := addr.(*net.UDPAddr); ok {
			from = netip.AddrPortFrom(u.AddrPort().Addr().Unmap().WithZone(""), u.AddrPort().Port())
		}
		if !d.OnLink(from.Addr()) && !from.Addr().IsLinkLocalUnicast() || !matches(b[:n], id, r.question[0]) {
			s.stats.spoofed.Add(1)
			continue
		}
		m, err := unpack(b[:n])
		if err == nil && len(m.Answer) > 0 {
			return m, from, nil
		}
	}
	return nil, netip.AddrPort{}, errFlooded
}
