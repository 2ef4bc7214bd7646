package dhcp6

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	"mifvif/pvd/dhcp"
)

// Retransmission (RFC 8415 7.6, 15): each wait is twice the last, a tenth more or
// less, up to a limit that servers may set.
const (
	maxDelay  = time.Second
	firstWait = time.Second
	lastWait  = time.Hour
)

// ask asks on the link until somebody answers and hands on what each server says;
// it is false when ctx ended or nothing can be asked there.
func (w *worker) ask(ctx context.Context, each func(*Reply, netip.Addr)) bool {
	p, err := w.source.open(w.link)
	if err != nil {
		w.source.log.Debug("no DHCPv6 here", "interface", w.link.Name, "error", err)
		return false
	}
	defer p.Close()
	transmit := [3]byte{byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())}
	began, wait := time.Now(), jitter(firstWait)
	read := func(f dhcp.Frame) (*Reply, netip.Addr, bool) {
		r := w.read(f, transmit, p.Hardware)
		return r, f.Src, r != nil
	}
	for ctx.Err() == nil {
		if err := p.Ask(dhcp.Frame{Dst: servers(), Peer: serversHardware(), Payload: message(w.link, transmit, p.Hardware, time.Since(began))}); err != nil {
			w.source.log.Debug("a DHCPv6 message could not be sent", "interface", w.link.Name, "error", err)
		}
		if dhcp.Hear(ctx, p, wait, dhcp.MaxServers, read, each) {
			return true
		}
		if wait = wait + jitter(wait); wait > w.lastWait {
			wait = jitter(w.lastWait)
		}
	}
	return false
}

// read returns the reply to transmit in a frame, nil if there is none.
func (w *worker) read(f dhcp.Frame, transmit [3]byte, hardware [6]byte) *Reply {
	r, err := Parse(f.Payload)
	switch {
	case err != nil:
		w.source.counts.malformed.Add(1)
	case r.Transmit != transmit || !bytes.Equal(r.Client, identifier(hardware)):
		w.source.counts.foreign.Add(1)
	default:
		return r
	}
	return nil
}

// jitter returns d, a tenth more or less at most.
func jitter(d time.Duration) time.Duration { return dhcp.Jitter(d, d/10) }
