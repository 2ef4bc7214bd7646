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
	return tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: smallReceive, Max: receiveBuffer}
}

// room is who has the large buffers of one direction. The zero room is empty; safe
// for concurrent use.
type room struct {
	mu    sync.Mutex
	grown map[*joint]struct{}
}

// take reports whether there is a place for j.
func (r *room) take(j *joint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.grown) >= mostGrown {
		return false
	}
	if r.grown == nil {
		r.grown = make(map[*joint]struct{})
	}
	r.grown[j] = struct{}{}
	return true
}

// give frees the place of j, if it has one.
func (r *room) give(j *joint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.grown, j)
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

// growReceive gives an upload that carries its large window.
func (j *joint) growReceive(carried uint64) {
	if j.receiveGrown.Load() {
		return
	}
	if j.shownWriting += carried; j.shownWriting < showsWriting {
		return
	}
	if j.shownWriting = 0; j.stack.receiving.take(j) {
		j.receiveGrown.Store(true)
		j.ep.SocketOptions().SetReceiveBufferSize(receiveBuffer, false)
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
		if now.Sub(time.Unix(0, j.last.Load())) < attention || err != nil || queued > 0 {
			continue
		}
		j.ep.SocketOptions().SetReceiveBufferSize(smallReceive, false)
		delete(r.grown, j)
		j.receiveGrown.Store(false)
	}
}
