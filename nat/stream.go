package nat

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/nat/offload"
	"mifvif/packet"
	"mifvif/pvd"
	"mifvif/tun"
)

// Stream is one translated TCP flow. Its methods are safe for concurrent use.
type Stream struct {
	table  *Streams
	id     uint64
	key    pair
	flow   offload.Flow
	choice Choice
	lease  *lease
	raw    *raw
	errors limiter       // of what networks say
	began  time.Duration // see offload.Now
	more   bool          // another candidate is left that has not been tried
	asked  uint32        // the sequence number behind its SYN
	// patience is how long nobody may answer syn before it is declined; 0: any time.
	patience time.Duration
	declined func(syn []byte)
	syn      []byte

	// Guarded by table.mu.
	ended    func()
	last     offload.Traffic // what had passed when it was over
	resent   bool            // its SYN was sent more than once
	tried    []pvd.Key       // candidates before this one
	answered bool            // somebody has
	left     bool            // nobody will
	over     bool            // it has ended; what still comes is carried for a while
	since    time.Duration   // when it was over, see offload.Now
	gone     bool            // it is in no table
}

// phase is what a connection is in, as its segments show.
type phase uint8

const (
	opening phase = iota
	established
	closing // by both sides, or by a RST from the network, which may be made up
	closed  // and both have said that they know
)

// phaseOf reads the phase off what was seen. An app that waits for an answer to its
// SYN resets what is none, and waits on; refused it is by who knows the number of its
// SYN (RFC 9293 3.10.7.3).
func (s *Stream) phaseOf(t offload.Traffic) phase {
	tx, rx := t.Tx.Flags, t.Rx.Flags
	switch {
	case rx&packet.TCPSyn == 0 && (rx&packet.TCPRst == 0 || t.Rx.Ack != s.asked):
		return opening
	case tx&packet.TCPRst != 0:
		return closed
	case rx&packet.TCPRst != 0 && (rx&packet.TCPSyn == 0 || t.Rx.End == t.Tx.Ack): // refused, or a RST that the app believes (RFC 5961 3.2)
		return closed
	case rx&packet.TCPRst != 0:
		return closing
	case tx&rx&packet.TCPFin != 0 && t.Tx.Ack == t.Rx.End && t.Rx.Ack == t.Tx.End:
		return closed
	case tx&rx&packet.TCPFin != 0:
		return closing
	}
	return established
}

// How long nothing must have passed for a flow to be forgotten (RFC 5382 REQ-5,
// RFC 7857 2.2). One that is closed has nothing more to say; the app's kernel keeps
// its TIME_WAIT as ever.
const (
	establishedIdle = 2*time.Hour + 4*time.Minute
	transitoryIdle  = 4 * time.Minute
	closedIdle      = 500 * time.Millisecond
	closedMost      = 4 * time.Second // whatever passes: nobody counts it any more
)

func (p phase) idle() time.Duration {
	switch p {
	case established:
		return establishedIdle
	case closed:
		return closedIdle
	}
	return transitoryIdle
}

// outer is the flow as the uplink's networks see it.
func (s *Stream) outer() pair { return pair{s.flow.Source, s.key.dst} }

// Source returns the uplink's side.
func (s *Stream) Source() netip.AddrPort { return s.flow.Source }

// Counters returns the bytes of payload that have passed, what was sent again
// included: tx from the app, rx to it.
func (s *Stream) Counters() (tx, rx uint64) {
	t := s.traffic()
	return t.Tx.Bytes, t.Rx.Bytes
}

// Shown returns Counters with the word for what the connection is in: "opening",
// "established" or "closing".
func (s *Stream) Shown() (tx, rx uint64, state string) {
	t := s.traffic()
	switch s.phaseOf(t) {
	case opening:
		state = "opening"
	case established:
		state = "established"
	default:
		state = "closing"
	}
	return t.Tx.Bytes, t.Rx.Bytes, state
}

// leave has the app's next SYN go by the next candidate, where there is one and
// nobody has answered yet. A network says that it knows no way to the destination:
// another one may. It has seen the SYN, or does not know its number (RFC 5927 4.1).
// table.mu is held.
func (s *Stream) leave(number uint32) bool {
	s.left = s.left || s.more && number+1 == s.asked && s.phaseOf(s.table.kernel.Traffic(s.flow)) == opening
	return s.left
}

func (s *Stream) traffic() offload.Traffic {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	if s.over || s.gone {
		return s.last
	}
	return s.table.kernel.Traffic(s.flow)
}

// OnEnd has f called once when the flow has ended, at once if it has. f must not
// block.
func (s *Stream) OnEnd(f func()) {
	s.table.mu.Lock()
	over := s.over
	s.ended = f
	s.table.mu.Unlock()
	if over {
		f()
	}
}

// finish notes that the flow is over, and what has passed, and returns what its
// owner wants to be called then. table.mu is held.
func (s *Stream) finish(passed offload.Traffic) func() {
	told := s.over || s.ended == nil
	if !s.over {
		s.since = offload.Now()
	}
	s.over, s.last = true, passed
	if told {
		return func() {}
	}
	return s.ended
}

// Reset ends the flow with a RST to both sides.
func (s *Stream) Reset() {
	t := s.table
	t.mu.Lock()
	if s.gone {
		t.mu.Unlock()
		return
	}
	over, stopping := s.over, t.closed
	s.raw.streams++ // for one more packet
	last := t.forget(s)
	ended := s.finish(last)
	t.mu.Unlock()
	switch {
	case over:
	case s.phaseOf(last) == opening && stopping:
		_ = s.table.out.Write(tun.Header{}, packet.AppendReset(nil, s.key.dst, s.key.src, 0, s.asked)) // best effort
	case s.phaseOf(last) == opening: // its SYN is sent again, and decided anew
	default:
		s.resetApp(last)
		_ = s.raw.send(packet.AppendReset(nil, s.flow.Source, s.key.dst, last.Tx.Next, last.Tx.Ack), s.key.dst.Addr()) // best effort
	}
	t.mu.Lock()
	t.dropRaw(s.raw)
	t.mu.Unlock()
	ended()
}

// resetApp sends a RST that the app's kernel believes if it has got all that has
// passed here, and a segment that it has had already, which has it say what it waits
// for if not (RFC 9293 3.10.7.4): the house knows of no such connection and answers
// with the RST that fits.
func (s *Stream) resetApp(last offload.Traffic) {
	for _, p := range [][]byte{
		packet.AppendReset(nil, s.key.dst, s.key.src, last.Rx.Next, last.Tx.Next),
		packet.AppendAck(nil, s.key.dst, s.key.src, last.Tx.Ack-1, last.Tx.Next),
	} {
		_ = s.table.out.Write(tun.Header{}, p) // best effort: whatever the app sends next is answered with RST
	}
}

// begins reports whether a SYN is the stream's own, with headers as the first one had.
func (s *Stream) begins(syn []byte) bool {
	_, ok := packet.TCPHeaders(syn)
	return ok && packet.TCPSequence(syn)+1 == s.asked
}

// send sends an app's SYN on, as the domain's.
func (s *Stream) send(syn []byte) error {
	header := packet.IPv4HeaderLen
	if s.key.dst.Addr().Is6() {
		header = packet.IPv6HeaderLen
	}
	if _, ok := packet.TCPHeaders(syn); !ok {
		return ErrUntranslatable // it would leave with the app's address
	}
	p := append([]byte(nil), syn...)
	packet.ReaddressSYN(p, s.flow.Source, uint16(min(s.choice.Domain.MTU-header-packet.TCPHeaderLen, 0xffff)), false)
	err := s.raw.send(p, s.key.dst.Addr())
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) {
		return nil // the app sends it again
	}
	return err
}
