package dhcp4

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Retransmission (RFC 2131 4.1): four seconds, doubled to 64, each a second more
// or less.
const (
	firstWait = 4 * time.Second
	lastWait  = 64 * time.Second
)

// maxFrames is how many packets of one link are looked at before the next
// retransmission: a flood costs no more.
const maxFrames = 64

// Several servers of one link may answer one question, each for its own network
// (RFC 6418 4.5): so long are the others waited for, and so many are heard.
const (
	othersWait = time.Second
	maxServers = 4
)

// asking is one question, asked until somebody answers it.
type asking struct {
	request
	to    netip.Addr // zero: everybody on the link
	tries int        // 0: until the context ends
	takes func(*Answer) bool
	each  func(reply) // nil: the first answer is enough; else takes that of each server
}

// reply is an answer with what only the wire says of it.
type reply struct {
	*Answer
	from [6]byte // whose frame it came in
	sent time.Time
}

// ask sends a question and returns the first answer it takes. ok is false when
// nobody answered or ctx ended; an error says that the link cannot be used.
func (w *worker) ask(ctx context.Context, q asking) (r reply, ok bool, err error) {
	p, err := w.source.open(w.link)
	if err != nil {
		return reply{}, false, err
	}
	defer p.close()
	transmit := rand.Uint32()
	packet := w.message(q.request, transmit, p.hardware)
	to, dst := everybody(), netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if q.to.IsValid() {
		to, dst = w.neighbour, q.to
	}
	wait := firstWait
	for try := 1; q.tries == 0 || try <= q.tries; try++ {
		p.drain()
		sent := time.Now()
		if err := p.send(packet, q.client, dst, to); err != nil {
			w.source.log.Debug("a DHCP message could not be sent", "interface", w.link.Name, "error", err)
		}
		if a, from, ok := w.await(ctx, p, transmit, jitter(wait, time.Second), q.takes); ok {
			r := reply{a, from, sent}
			if q.each != nil {
				q.each(r)
				w.others(ctx, p, transmit, q, r)
			}
			return r, true, nil
		}
		if ctx.Err() != nil {
			break
		}
		wait = min(2*wait, lastWait)
	}
	return reply{}, false, nil
}

// others hands on what further servers answer to a question that first has
// answered.
func (w *worker) others(ctx context.Context, p *port, transmit uint32, q asking, first reply) {
	known := []netip.Addr{first.Server}
	end := time.Now().Add(othersWait)
	for range maxFrames {
		a, from, ok := w.await(ctx, p, transmit, time.Until(end), q.takes)
		if !ok || len(known) == maxServers {
			return
		}
		if !slices.Contains(known, a.Server) {
			known = append(known, a.Server)
			q.each(reply{a, from, first.sent})
		}
	}
}

// await returns the first answer to transmit that takes accepts within d.
func (w *worker) await(ctx context.Context, p *port, transmit uint32, d time.Duration, takes func(*Answer) bool) (*Answer, [6]byte, bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for seen := 0; ; {
		frames := p.frames
		if seen == maxFrames {
			frames = nil // enough for now
		}
		select {
		case <-ctx.Done():
			return nil, [6]byte{}, false
		case <-timer.C:
			return nil, [6]byte{}, false
		case f := <-frames:
			seen++
			a, err := Parse(f.payload)
			switch {
			case err != nil:
				w.source.counts.malformed.Add(1)
			case a.Transmit != transmit || a.Hardware != p.hardware:
				w.source.counts.foreign.Add(1)
			case !takes(a):
				w.source.counts.lying.Add(1)
			default:
				return a, f.from, true
			}
		}
	}
}

// jitter returns d, more or less by at most by.
func jitter(d, by time.Duration) time.Duration { return d - by + rand.N(2*by) }

// pause waits; it returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// told sends a message that nobody answers.
func (w *worker) told(q request) {
	p, err := w.source.open(w.link)
	if err != nil {
		return
	}
	defer p.close()
	to, dst := everybody(), netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if q.kind == dhcpv4.MessageTypeRelease {
		to, dst = w.neighbour, q.server
	}
	if err := p.send(w.message(q, rand.Uint32(), p.hardware), q.client, dst, to); err != nil {
		w.source.log.Debug("a DHCP message could not be sent", "interface", w.link.Name, "error", err)
	}
}
