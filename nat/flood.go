package nat

import "time"

// A socket that is called for so often within a window gets a flood: it is
// then looked at every poll.Pause, until a window brings fewer datagrams than
// there are looks. A conversation, a round trip after the other, is far below: one
// of 140 us calls seven times.
const (
	floodWindow = time.Millisecond
	floodCalls  = 20
	calmPackets = 10
)

// flood tells whether one comes to a socket. It belongs to the goroutine that
// polls.
type flood struct {
	since   time.Time // when the window began
	calls   int       // of the window
	packets uint64    // of the window
	paced   bool
}

// note takes a call that brought so many packets, and returns whether the
// socket should be paced from now on.
func (f *flood) note(now time.Time, packets uint64) (paced bool) {
	f.calls++
	f.packets += packets
	paced = f.paced || f.calls >= floodCalls
	if now.Sub(f.since) < floodWindow {
		return paced
	}
	paced = f.paced && f.packets >= calmPackets
	f.since, f.calls, f.packets = now, 0, 0
	return paced
}

// pace has b's socket called as suits what comes to it.
func (b *binding) pace(packets uint64) {
	paced := b.flood.note(time.Now(), packets)
	if paced == b.flood.paced {
		return
	}
	fd, ok := b.sock.hold()
	if !ok {
		return
	}
	defer b.sock.release()
	if !paced {
		b.table.poller.Rouse(fd)
		b.flood.paced = false
		return
	}
	b.flood.paced = b.table.poller.Pace(fd)
}
