package stack

import (
	"context"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// Buffers of a connection, in bytes. What an app does not read fills its send
// buffer, what a server does not read its receive buffer, half of which is the
// app's window; so each begins small and grows for those that have shown that
// somebody reads, while there is room.
const (
	smallSend     = 2 * readChunk // one is on its way while the next is read
	smallReceive  = 64 << 10
	sendBuffer    = 2 << 20
	receiveBuffer = 1 << 20
	mostGrown     = 64 // connections with large buffers, each way

	// An upload that is fast has the largest window: fewer and longer turns for each
	// byte. A slow one has not, as all that is in it lies between the app and the
	// network.
	fastReceive = 4 << 20
	mostFast    = 8
	stretch     = 8 << 20 // bytes between two looks at the clock
	fastStretch = stretch * 8 * time.Second / 1e9
	slowStretch = 2 * fastStretch

	// How much must have been carried: to an app more than fits into what is small
	// and into the app's own buffer, from an app half of what it may send at first.
	showsReading = 256 << 10
	showsWriting = smallReceive / 4
)

// beginSmall gives a connection its small buffers. From then on they grow here
// only: gVisor's own growth knows no bound for all connections together.
func (c *Conn) beginSmall() { c.ep.SocketOptions().SetSendBufferSize(smallSend, true) }

// receiveRange returns the option that has windows begin small.
func receiveRange() tcpip.TCPReceiveBufferSizeRangeOption {
	return tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: smallReceive, Max: fastReceive}
}

// room is who has the large buffers of one direction, and the largest. The zero
// room is empty; safe for concurrent use.
type room struct {
	mu    sync.Mutex
	grown map[*joint]bool // true: the largest
	fast  int             // of them
}

// take reports whether there is a place for j.
func (r *room) take(j *joint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.grown) >= mostGrown {
		return false
	}
	if r.grown == nil {
		r.grown = make(map[*joint]bool)
	}
	r.grown[j] = false
	return true
}

// give frees the place of j, if it has one.
func (r *room) give(j *joint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(j)
}

// forget is give while mu is held.
func (r *room) forget(j *joint) {
	if r.grown[j] {
		r.fast--
	}
	delete(r.grown, j)
}

// hasten gives an upload that has large buffers the largest, if there is a place,
// or takes them.
func (r *room) hasten(j *joint, fast bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, large := r.grown[j]
	if !large || was == fast || fast && r.fast >= mostFast {
		return
	}
	r.grown[j] = fast
	if fast {
		r.fast++
		j.ep.SocketOptions().SetReceiveBufferSize(fastReceive, false)
	} else {
		r.fast--
		j.ep.SocketOptions().SetReceiveBufferSize(receiveBuffer, false)
	}
}

// growSend gives a download that carries its large buffer. Where there is no place
// it asks again when as much has been carried once more.
func (j *joint) growSend(carried uint64) {
	if j.sendGrown {
		return
	}
	if j.shownReading += carried; j.shownReading < showsReading {
		return
	}
	if j.shownReading = 0; j.stack.sending.take(j) {
		j.sendGrown = true
		j.ep.SocketOptions().SetSendBufferSize(sendBuffer, false)
	}
}

// shrinkSend takes it away again from one that rests, or is over.
func (j *joint) shrinkSend() {
	if j.sendGrown {
		j.sendGrown = false
		j.stack.sending.give(j)
		j.ep.SocketOptions().SetSendBufferSize(smallSend, false)
	}
}

// growReceive gives an upload that carries its large window, and a fast one the
// largest.
func (j *joint) growReceive(carried uint64) {
	if j.receiveGrown.Load() {
		j.measure(carried, time.Now)
		return
	}
	if j.shownWriting += carried; j.shownWriting < showsWriting {
		return
	}
	size := int64(smallReceive) // said too: it ends gVisor's own growth
	if j.shownWriting = 0; j.stack.receiving.take(j) {
		j.receiveGrown.Store(true)
		size = receiveBuffer
	}
	j.ep.SocketOptions().SetReceiveBufferSize(size, false)
}

// measure tells a fast upload from a slow one, by the time that a stretch took.
func (j *joint) measure(carried uint64, now func() time.Time) {
	if j.stretched += carried; j.stretched < stretch {
		return
	}
	end := now()
	took := end.Sub(j.stretchBegan)
	j.stretched, j.stretchBegan = 0, end
	if took <= fastStretch {
		j.stack.receiving.hasten(j, true)
	} else if took > slowStretch {
		j.stack.receiving.hasten(j, false)
	}
}

// clearRoom takes the large windows of uploads that say nothing, until ctx ends.
// One that stands still keeps its place: it holds what it was given.
func (s *Stack) clearRoom(ctx context.Context) {
	tick := time.NewTicker(attention)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.receiving.clear(now)
		}
	}
}

func (r *room) clear(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for j := range r.grown {
		queued, err := j.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
		if j.silent(now) < attention || err != nil || queued > 0 {
			continue
		}
		j.ep.SocketOptions().SetReceiveBufferSize(smallReceive, false)
		r.forget(j)
		j.receiveGrown.Store(false)
	}
}
