package stack

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"mifvif/flow"
	"mifvif/quota"
)

// pending is the bounded table of SYNs that are being answered.
type pending struct {
	holder func(f flow.Flow, ask bool) quota.Holder
	mu     sync.Mutex
	open   map[stack.TransportEndpointID]*attempt
	shares *quota.Shares
	closed bool
}

// attempt is one SYN under way.
type attempt struct {
	source netip.Addr
	holder quota.Holder
	tos    uint8
	paths  bool               // the app asks for Multipath TCP
	quote  []byte             // headers of the SYN, for an ICMP error about it
	over   bool               // the app has gone, or the stack stops; under pending.mu
	cancel context.CancelFunc // of what is done about it, nil for nothing; under pending.mu
}

// end cancels what is done about the SYN.
func (a *attempt) end() {
	a.over = true
	if a.cancel != nil {
		a.cancel()
	}
}

func (p *pending) init(cfg Config) {
	p.open = make(map[stack.TransportEndpointID]*attempt)
	p.shares = quota.New(cfg.Pending, cfg.PerSource)
	if p.holder = cfg.Holder; p.holder == nil {
		p.holder = func(f flow.Flow, _ bool) quota.Holder { return quota.Host(f.Src.Addr()) }
	}
}

// admission is what begin found.
type admission uint8

const (
	admitted admission = iota
	known              // a retransmitted SYN: it is being answered
	full               // the table, or the holder's share of it, is used up
	late               // the stack stops
)

// begin takes a place for the SYN in pkt. One goroutine calls it.
func (p *pending) begin(id stack.TransportEndpointID, pkt *stack.PacketBuffer) admission {
	p.mu.Lock()
	_, open := p.open[id]
	ask := p.shares.Asks()
	p.mu.Unlock()
	if open {
		return known
	}
	source := addr(id.RemoteAddress)
	holder := p.holder(flow.Flow{
		Proto: flow.TCP, Src: netip.AddrPortFrom(source, id.RemotePort), Dst: netip.AddrPortFrom(addr(id.LocalAddress), id.LocalPort),
	}, ask)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return late
	}
	if p.shares.Full() || p.shares.Spent(holder) {
		return full
	}
	network, transport := pkt.NetworkHeader().Slice(), pkt.TransportHeader().Slice()
	p.open[id] = &attempt{
		source: source, holder: holder, tos: tos(network), paths: asksMultipath(header.TCP(transport).Options()), quote: slices.Concat(network, transport),
	}
	p.shares.Take(holder)
	return admitted
}

// tos returns the traffic class octet of a network header.
func tos(network []byte) uint8 {
	var tos uint8
	if header.IPVersion(network) == header.IPv6Version {
		tos, _ = header.IPv6(network).TOS()
	} else {
		tos, _ = header.IPv4(network).TOS()
	}
	return tos
}

// attempt returns the SYN under way behind id.
func (p *pending) attempt(id stack.TransportEndpointID) *attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[id]
}

// end gives the place of id back.
func (p *pending) end(id stack.TransportEndpointID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.open[id]
	if !ok {
		return
	}
	a.end()
	delete(p.open, id)
	p.shares.Give(a.holder)
}

// under returns a context under parent that ends with the attempt, too.
func (p *pending) under(a *attempt, parent context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(parent, timeout)
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.cancel = cancel; a.over {
		cancel()
	}
	return ctx, cancel
}

// over reports whether the app has gone or the stack stops.
func (p *pending) over(a *attempt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return a.over
}

// giveUp tells whoever answers id that the app has gone.
func (p *pending) giveUp(id stack.TransportEndpointID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a, ok := p.open[id]; ok {
		a.end()
	}
}

// close admits nothing more and ends every attempt.
func (p *pending) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, a := range p.open {
		a.end()
	}
}

// stopped reports whether close was called.
func (p *pending) stopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// unknown sees every TCP packet that belongs to no connection. A SYN becomes a
// Request; the RST of an app that gave up ends its attempt; anything else, and a
// SYN while the stack stops, is answered with RST by gVisor (RFC 9293 3.10.7.1), so
// that apps with connections of an earlier mifvif learn at once.
func (s *Stack) unknown(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	h := header.TCP(pkt.TransportHeader().Slice())
	if len(h) < header.TCPMinimumSize {
		return true
	}
	flags := h.Flags()
	if flags.Contains(header.TCPFlagRst) {
		s.pending.giveUp(id)
		return true
	}
	if flags&(header.TCPFlagSyn|header.TCPFlagAck) != header.TCPFlagSyn {
		return false
	}
	switch s.pending.begin(id, pkt) {
	case known:
		return true
	case full:
		s.drops.pending.Add(1)
		return true
	case late:
		return false
	}
	s.running.Add(1)
	if !s.forward.HandlePacket(id, pkt) {
		s.pending.end(id)
		s.running.Done()
	}
	return true
}

// addr restates a gVisor address.
func addr(a tcpip.Address) netip.Addr {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return ip
}
