package serve

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// Message types of DHCPv4 (RFC 2132 9.6).
const (
	DHCPDiscover = 1
	DHCPOffer    = 2
	DHCPRequest  = 3
	DHCPDecline  = 4
	DHCPAck      = 5
	DHCPNak      = 6
	DHCPRelease  = 7
	DHCPInform   = 8
)

// DHCPAnswers says how a DHCP server answers.
type DHCPAnswers struct {
	Server netip.Addr // its own address, option 54
	Lease  netip.Addr // what it offers; zero: it only answers DHCPINFORM
	// Options are put behind message type and server identifier as they are,
	// without the end option.
	Options []byte
	// Refuse answers a DHCPREQUEST with DHCPNAK.
	Refuse bool
	// Mangle, if set, makes of a finished reply what is really sent.
	Mangle func(reply []byte) [][]byte
}

// DHCPQuery is one message a client sent.
type DHCPQuery struct {
	Type      byte
	Source    netip.AddrPort
	Client    netip.Addr // ciaddr
	Transmit  uint32     // xid
	Options   map[byte][]byte
	Broadcast bool // the flag
}

// Asked reports whether the client's parameter request list names an option.
func (q DHCPQuery) Asked(option byte) bool { return bytes.IndexByte(q.Options[55], option) >= 0 }

// DHCP is a DHCPv4 server for what an honest one cannot send: it answers with
// the option bytes it was given. Replies to clients without address are
// broadcast.
type DHCP struct {
	datagrams

	mu      sync.Mutex
	answers DHCPAnswers
	queries []DHCPQuery
}

// NewDHCP starts to answer on a socket that is bound to port 67 of one link and
// may broadcast. The server owns it.
func NewDHCP(conn *net.UDPConn, answers DHCPAnswers) *DHCP {
	s := &DHCP{answers: answers}
	s.start(conn, 2048, s.serve)
	return s
}

// Set replaces the answers from here on.
func (s *DHCP) Set(answers DHCPAnswers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = answers
}

// Queries returns what clients sent so far, oldest first.
func (s *DHCP) Queries() []DHCPQuery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}

func (s *DHCP) serve(b []byte, src netip.AddrPort) {
	if len(b) < 240 {
		return
	}
	src = netip.AddrPortFrom(src.Addr().Unmap(), src.Port())
	q := DHCPQuery{
		Source: src, Client: netip.AddrFrom4([4]byte(b[12:])), Transmit: binary.BigEndian.Uint32(b[4:]),
		Options: dhcpOptions(b[240:]), Broadcast: b[10]&0x80 != 0,
	}
	if t := q.Options[53]; len(t) == 1 {
		q.Type = t[0]
	}
	s.mu.Lock()
	if len(s.queries) < logSize {
		s.queries = append(s.queries, q)
	}
	answers := s.answers
	s.mu.Unlock()
	replies, to := answers.reply(b, q)
	for _, reply := range replies {
		_, _ = s.conn.WriteToUDPAddrPort(reply, to) // a client that is gone
	}
}

// reply makes the packets that answer one query, and says where they go.
func (a DHCPAnswers) reply(b []byte, q DHCPQuery) (replies [][]byte, to netip.AddrPort) {
	to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), 68)
	kind, lease := byte(0), a.Lease
	switch {
	case q.Type == DHCPInform:
		kind, lease = DHCPAck, netip.Addr{}
	case q.Type == DHCPDiscover && lease.IsValid():
		kind = DHCPOffer
	case q.Type == DHCPRequest && a.Refuse:
		kind, lease = DHCPNak, netip.Addr{}
	case q.Type == DHCPRequest && lease.IsValid():
		kind = DHCPAck
	default:
		return nil, to
	}
	if !q.Client.IsUnspecified() {
		to = netip.AddrPortFrom(q.Client, 68)
	}
	out := slices.Clone(b[:240])
	out[0] = 2
	clear(out[16:28])  // yiaddr, siaddr, giaddr
	clear(out[44:236]) // sname, file
	if lease.IsValid() {
		copy(out[16:], lease.AsSlice())
	}
	out = append(out, 53, 1, kind, 54, 4)
	out = append(out, a.Server.AsSlice()...)
	if kind != DHCPNak {
		out = append(out, a.Options...)
	}
	out = append(out, 255)
	out = append(out, make([]byte, max(0, 300-len(out)))...)
	if a.Mangle != nil {
		return a.Mangle(out), to
	}
	return [][]byte{out}, to
}

// dhcpOptions sorts options by code, those that occur twice joined.
func dhcpOptions(b []byte) map[byte][]byte {
	all := make(map[byte][]byte)
	for len(b) > 1 && b[0] != 255 {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		n := 2 + int(b[1])
		if n > len(b) {
			break
		}
		all[b[0]] = append(all[b[0]], b[2:n]...)
		b = b[n:]
	}
	return all
}
