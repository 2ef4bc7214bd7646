package dhcp4

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"mifvif/pvd/dhcp"
)

// Retransmission (RFC 2131 4.1): four seconds, doubled to 64, each a second more
// or less.
const (
	firstWait = 4 * time.Second
	lastWait  = 64 * time.Second
)

// asking is one question, asked until somebody answers it.
type asking struct {
	request
	to    netip.Addr // zero: everybody on the link
	tries int        // 0: until the context ends
	takes func(*Answer) bool
	each  func(r reply, server netip.Addr) // nil: the first answer is enough; else takes that of each server
}

// reply is an answer with what only the wire says of it.
type reply struct {
	*Answer
	from [6]byte // whose frame it came in
	sent time.Time
}

// ask sends a question and returns the first answer it takes, unless each has it. ok is false when
// nobody answered or ctx ended; an error says that the link cannot be used.
func (w *worker) ask(ctx context.Context, q asking) (r reply, ok bool, err error) {
	p, err := w.source.open(w.link)
	if err != nil {
		return reply{}, false, err
	}
	defer p.Close()
	transmit, servers := rand.Uint32(), 1
	question := w.toServers(w.message(q.request, transmit, p.Hardware), q.client, q.to)
	hear := func(a reply, _ netip.Addr) { r = a }
	if q.each != nil {
		servers, hear = dhcp.MaxServers, q.each
	}
	wait := firstWait
	for try := 1; q.tries == 0 || try <= q.tries; try++ {
		sent := time.Now()
		if err := p.Ask(question); err != nil {
			w.source.log.Debug("a DHCP message could not be sent", "interface", w.link.Name, "error", err)
		}
		read := func(f dhcp.Frame) (reply, netip.Addr, bool) {
			a := w.read(f, transmit, p.Hardware, q.takes)
			if a == nil {
				return reply{}, netip.Addr{}, false
			}
			return reply{a, f.Peer, sent}, a.Server, true
		}
		if dhcp.Hear(ctx, p, dhcp.Jitter(wait, time.Second), servers, read, hear) {
			return r, true, nil
		}
		if ctx.Err() != nil {
			break
		}
		wait = min(2*wait, lastWait)
	}
	return reply{}, false, nil
}

// read returns the answer to transmit in a frame if takes accepts it, nil otherwise.
func (w *worker) read(f dhcp.Frame, transmit uint32, hardware [6]byte, takes func(*Answer) bool) *Answer {
	a, err := Parse(f.Payload)
	switch {
	case err != nil:
		w.source.counts.malformed.Add(1)
	case a.Transmit != transmit || a.Hardware != hardware:
		w.source.counts.foreign.Add(1)
	case !takes(a):
		w.source.counts.lying.Add(1)
	default:
		return a
	}
	return nil
}

// toServers is the frame of a message to the lease's server, at to, or to everybody.
func (w *worker) toServers(message []byte, src, to netip.Addr) dhcp.Frame {
	if !to.IsValid() {
		return dhcp.Frame{Src: src, Dst: netip.AddrFrom4([4]byte{255, 255, 255, 255}), Peer: everybody(), Payload: message}
	}
	return dhcp.Frame{Src: src, Dst: to, Peer: w.neighbour, Payload: message}
}

// told sends a message that nobody answers.
func (w *worker) told(q request) {
	p, err := w.source.open(w.link)
	if err != nil {
		return
	}
	defer p.Close()
	var to netip.Addr
	if q.kind == dhcpv4.MessageTypeRelease {
		to = q.server
	}
	if err := p.Send(w.toServers(w.message(q, rand.Uint32(), p.Hardware), q.client, to)); err != nil {
		w.source.log.Debug("a DHCP message could not be sent", "interface", w.link.Name, "error", err)
	}
}
