package dhcp6

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Retransmission (RFC 8415 7.6, 15): each wait is twice the last, a tenth more or
// less, up to a limit that servers may set.
const (
	maxDelay  = time.Second
	firstWait = time.Second
	lastWait  = time.Hour
)

// maxFrames is how many packets of one link are looked at before the next
// question: a flood costs no more.
const maxFrames = 64

// Several servers of one link may answer one question, each for its own network
// (RFC 6418 4.5): so long are the others waited for, and so many are heard.
const (
	othersWait = time.Second
	maxServers = 4
)

// ask asks on the link until somebody answers and hands on what each server says;
// it is false when ctx ended or nothing can be asked there.
func (w *worker) ask(ctx context.Context, each func(*Reply, netip.Addr)) bool {
	p, err := w.source.open(w.link)
	if err != nil {
		w.source.log.Debug("no DHCPv6 here", "interface", w.link.Name, "error", err)
		return false
	}
	defer p.close()
	transmit := [3]byte{byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())}
	began, wait := time.Now(), jitter(firstWait)
	for ctx.Err() == nil {
		p.drain()
		if err := p.send(message(w.link, transmit, p.hardware, time.Since(began))); err != nil {
			w.source.log.Debug("a DHCPv6 message could not be sent", "interface", w.link.Name, "error", err)
		}
		if w.answered(ctx, p, transmit, wait, each) {
			return true
		}
		if wait = wait + jitter(wait); wait > w.lastWait {
			wait = jitter(w.lastWait)
		}
	}
	return false
}

// answered hands on the first reply to transmit within d, and what other servers
// say soon after it; it is false if there is none.
func (w *worker) answered(ctx context.Context, p *port, transmit [3]byte, d time.Duration, each func(*Reply, netip.Addr)) bool {
	var known []netip.Addr
	for end := time.Now().Add(d); len(known) < maxServers; {
		r, server := w.await(ctx, p, transmit, time.Until(end), known)
		if r == nil {
			break
		}
		if len(known) == 0 {
			end = time.Now().Add(othersWait)
		}
		known = append(known, server)
		each(r, server)
	}
	return len(known) > 0
}

// await returns the first reply to transmit within d by another server than those
// known, nil if there is none.
func (w *worker) await(ctx context.Context, p *port, transmit [3]byte, d time.Duration, known []netip.Addr) (*Reply, netip.Addr) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for seen := 0; ; {
		frames := p.frames
		if seen == maxFrames {
			frames = nil // enough for now
		}
		select {
		case <-ctx.Done():
			return nil, netip.Addr{}
		case <-timer.C:
			return nil, netip.Addr{}
		case f := <-frames:
			seen++
			r, err := Parse(f.payload)
			switch {
			case err != nil:
				w.source.counts.malformed.Add(1)
			case r.Transmit != transmit || !bytes.Equal(r.Client, identifier(p.hardware)):
				w.source.counts.foreign.Add(1)
			case !slices.Contains(known, f.src):
				return r, f.src
			}
		}
	}
}

// jitter returns d, a tenth more or less at most.
func jitter(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

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
