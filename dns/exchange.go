package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// Bounds of what one resolver may send us for one query.
const (
	datagramSize  = 4096
	maxRecords    = 4096
	maxMismatches = 32 // datagrams that answer another question; more are an attack
)

var (
	errMismatch  = errors.New("the answer is not to our question")
	errMalformed = errors.New("the answer is malformed")
	errTruncated = errors.New("the answer was cut")
	errFlooded   = errors.New("too many answers that are not to our question")
)

// exchange asks one server once: over UDP, over TCP where the answer was cut,
// without EDNS where the server does not know it (RFC 6891 6.2.2).
func (s *Server) exchange(ctx context.Context, d *pvd.Domain, in *instance, server netip.AddrPort, r *request) (*wire.Msg, error) {
	if to := at(d, server); to.Transport != pvd.Plain {
		return s.private(ctx, d, in, to, r)
	}
	if in.plain(server, time.Now()) {
		return s.transact(ctx, d, server, r, false)
	}
	m, err := s.transact(ctx, d, server, r, true)
	if err != nil || !ednsTrouble(m) {
		return m, err
	}
	m, err = s.transact(ctx, d, server, r, false)
	if err == nil && !ednsTrouble(m) {
		in.setPlain(server, time.Now())
	}
	return m, err
}

// ednsTrouble reports whether the answer may be bad because of our OPT record.
func ednsTrouble(m *wire.Msg) bool {
	switch m.Rcode {
	case wire.RcodeBadVers:
		return true
	case wire.RcodeFormatError, wire.RcodeNotImplemented:
		return m.IsEdns0() == nil
	}
	return false
}

// transact sends one query and returns its answer, over UDP if that holds it.
func (s *Server) transact(ctx context.Context, d *pvd.Domain, server netip.AddrPort, r *request, edns bool) (*wire.Msg, error) {
	m, err := s.over(ctx, "udp", d, server, r, edns)
	if errors.Is(err, errTruncated) || errors.Is(err, errFlooded) {
		return s.over(ctx, "tcp", d, server, r, edns)
	}
	return m, err
}

// over asks on a fresh socket, so that source port and id are new random ones
// for every query (RFC 5452 9.2), and closes it.
func (s *Server) over(ctx context.Context, network string, d *pvd.Domain, server netip.AddrPort, r *request, edns bool) (*wire.Msg, error) {
	id := uint16(rand.Uint32())
	query, err := r.upstream(id, edns).Pack()
	if err != nil {
		return nil, fmt.Errorf("encode query: %w", err)
	}
	conn, err := s.cfg.Dialer.Dial(ctx, d, network, server)
	if err != nil {
		return nil, fmt.Errorf("dial %s %s in %s: %w", network, server, d.Name, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		return askStream(conn, query, id, r.question[0])
	}
	return s.askDatagram(conn, query, id, r.question[0])
}

// askStream asks over TCP: the one message on the connection is the answer.
func askStream(conn net.Conn, query []byte, id uint16, q wire.Question) (*wire.Msg, error) {
	if err := writeMessage(conn, query); err != nil {
		return nil, fmt.Errorf("send query: %w", err)
	}
	b, err := readMessage(conn, wire.MaxMsgSize)
	if err != nil {
		return nil, fmt.Errorf("receive answer: %w", err)
	}
	if !matches(b, id, q) {
		return nil, errMismatch
	}
	return unpack(b)
}

// askDatagram asks over UDP and passes over what answers another question: it
// may be forged, and the true answer is still to come.
func (s *Server) askDatagram(conn net.Conn, query []byte, id uint16, q wire.Question) (*wire.Msg, error) {
	if _, err := conn.Write(query); err != nil {
		return nil, fmt.Errorf("send query: %w", err)
	}
	b := make([]byte, datagramSize)
	for range maxMismatches {
		n, err := conn.Read(b)
		if err != nil {
			return nil, fmt.Errorf("receive answer: %w", err)
		}
		if !matches(b[:n], id, q) {
			s.stats.spoofed.Add(1)
			continue
		}
		if b[2]&2 != 0 {
			return nil, errTruncated
		}
		return unpack(b[:n])
	}
	return nil, errFlooded
}

// matches reports whether b answers our question: id, direction, name, type and
// class. Servers that fail to understand a query may leave the question out.
func matches(b []byte, id uint16, q wire.Question) bool {
	if len(b) < headerLen || binary.BigEndian.Uint16(b) != id || b[2]&0xf8 != 0x80 {
		return false
	}
	qd, _, _, _ := counts(b)
	if qd == 0 {
		rcode := int(b[3] & 0xf)
		return rcode != wire.RcodeSuccess && rcode != wire.RcodeNameError
	}
	name, off, err := wire.UnpackDomainName(b, headerLen)
	if qd != 1 || err != nil || len(b) < off+4 {
		return false
	}
	return strings.EqualFold(name, q.Name) &&
		binary.BigEndian.Uint16(b[off:]) == q.Qtype && binary.BigEndian.Uint16(b[off+2:]) == q.Qclass
}

// unpack parses an answer within bounds: names are stored uncompressed, so a
// small message of many records could fill the memory.
func unpack(b []byte) (*wire.Msg, error) {
	_, an, ns, ar := counts(b)
	if an+ns+ar > maxRecords {
		return nil, errMalformed
	}
	var m wire.Msg
	if err := m.Unpack(b); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if !complete(b, &m) {
		return nil, errMalformed
	}
	return &m, nil
}
