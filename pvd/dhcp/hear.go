package dhcp

import (
	"context"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// MaxFrames is how many packets of one link are looked at before the next
// question: a flood costs no more.
const MaxFrames = 64

// Several servers of one link may answer one question, each for its own network
// (RFC 6418 4.5): so long are the others waited for, and MaxServers are heard.
const (
	othersWait = time.Second
	MaxServers = 4
)

// Hear hands on the first answer to a question that comes within d and, until limit
// servers have spoken, those of the others soon after it, one of each. It is false
// if there is none. An answer is what read takes a frame for.
func Hear[A any](ctx context.Context, p *Port, d time.Duration, limit int, read func(Frame) (a A, server netip.Addr, ok bool), each func(A, netip.Addr)) bool {
	var known []netip.Addr
	next := func(d time.Duration) bool {
		for f := range p.within(ctx, d) {
			if a, server, ok := read(f); ok && !slices.Contains(known, server) {
				known = append(known, server)
				each(a, server)
				return true
			}
		}
		return false
	}
	if !next(d) {
		return false
	}
	for end := time.Now().Add(othersWait); len(known) < limit && next(time.Until(end)); {
	}
	return true
}

// within are the frames that come within d, until ctx ends, and MaxFrames of them
// at most.
func (p *Port) within(ctx context.Context, d time.Duration) iter.Seq[Frame] {
	return func(yield func(Frame) bool) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		for seen := 0; ; seen++ {
			frames := p.Frames
			if seen >= MaxFrames {
				frames = nil // enough for now
			}
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
				return
			case f := <-frames:
				if !yield(f) {
					return
				}
			}
		}
	}
}

// Jitter returns d, more or less by at most by.
func Jitter(d, by time.Duration) time.Duration { return d - by + rand.N(2*by+1) }

// Pause waits; it returns false when ctx ends first.
func Pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
