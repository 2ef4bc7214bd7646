package lab

import (
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"
)

const (
	wireQueue = 8192
	wireFrame = 65536
)

// A lane is one direction of a wire: receive reads frames, decides their fate
// and hands them on; deliver writes them when their time has come. Frames keep
// their order.
type lane struct {
	wire     *Wire
	from, to *os.File
	random   *rand.Rand
	// travelling frames wait here; a full queue drops the newest.
	travelling chan frame
	free       chan []byte // buffers for reuse, so that nothing grows

	carried, lost, overflowed atomic.Uint64
}

type frame struct {
	data []byte
	due  time.Time
}

func newLane(wire *Wire, from, to *os.File, config WireConfig, direction uint64) *lane {
	size := config.Queue
	if size <= 0 {
		size = wireQueue
	}
	return &lane{
		wire: wire, from: from, to: to,
		random:     rand.New(rand.NewPCG(config.Seed, direction)),
		travelling: make(chan frame, size),
		free:       make(chan []byte, size),
	}
}

// receive ends when the interface is closed.
func (l *lane) receive() {
	defer l.wire.done.Done()
	defer close(l.travelling)
	buf := make([]byte, wireFrame)
	var clear time.Time // when the line is free for the next frame
	for {
		n, err := l.from.Read(buf)
		if err != nil {
			return
		}
		if uint64(l.random.Uint32()) < l.wire.loss.Load() {
			l.lost.Add(1)
			continue
		}
		if len(l.travelling) == cap(l.travelling) { // takes no time on the line
			l.overflowed.Add(1)
			continue
		}
		clear = l.pace(clear, time.Now(), n)
		l.travelling <- frame{append(l.buffer(), buf[:n]...), clear.Add(time.Duration(l.wire.delay.Load()))}
	}
}

// pace returns when a frame of n bytes has left the sender.
func (l *lane) pace(clear, now time.Time, n int) time.Time {
	if clear.Before(now) {
		clear = now
	}
	if rate := l.wire.rate.Load(); rate > 0 {
		clear = clear.Add(time.Duration(int64(n) * 8 * int64(time.Second) / rate))
	}
	return clear
}

// deliver ends when receive has and the last frame is written or dropped.
func (l *lane) deliver() {
	defer l.wire.done.Done()
	for f := range l.travelling {
		time.Sleep(time.Until(f.due))
		if _, err := l.to.Write(f.data); err != nil {
			l.lost.Add(1) // the other end is down or closed
		} else {
			l.carried.Add(1)
		}
		select {
		case l.free <- f.data[:0]:
		default:
		}
	}
}

func (l *lane) buffer() []byte {
	select {
	case b := <-l.free:
		return b
	default:
		return make([]byte, 0, 1600)
	}
}
