package netwatch

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// news is what notifications say.
type news struct {
	parts parts // that have changed
	// lost: something has gone, and with it perhaps what nobody tells of: the IPv4
	// routes of a link that goes down, those with a source address that is deleted.
	lost bool
}

func (n news) with(o news) news { return news{n.parts | o.parts, n.lost || o.lost} }

// bell is what notifications ring, and what keeps what they said until it is
// looked at. Safe for concurrent use.
type bell struct {
	mu   sync.Mutex
	news news
	rung chan struct{} // 1: full means that news are there
}

func newBell() *bell { return &bell{rung: make(chan struct{}, 1)} }

func (b *bell) ring(n news) {
	b.mu.Lock()
	b.news = b.news.with(n)
	b.mu.Unlock()
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

// heard returns what has been rung for, once.
func (b *bell) heard() news {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.news
	b.news = news{}
	return n
}

// wait waits for a ring and the rest of its burst, or for a time; it is false when
// ctx ends.
func (b *bell) wait(ctx context.Context, until time.Time) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-b.rung:
	}
	timer.Reset(settle)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	select {
	case <-b.rung: // the rest of the burst is in what is heard now
	default:
	}
	return true
}

// ofRouting says what a netlink message of routing is about.
func ofRouting(kind uint16, payload []byte) news {
	switch kind {
	case unix.RTM_NEWADDR:
		return news{parts: addresses}
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return news{parts: rules}
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if len(payload) > 0 && payload[0] == unix.AF_INET {
			return news{parts: routes4}
		}
		return news{parts: routes6}
	}
	return news{parts: all, lost: true} // links, addresses that were deleted
}

func ofFirewall(uint16, []byte) news { return news{parts: firewall} }

func ofTransforms(uint16, []byte) news { return news{parts: transforms} }

// read returns what the messages in b say.
func (l *listener) read(b []byte) (n news) {
	for len(b) >= unix.NLMSG_HDRLEN {
		length, kind := int(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint16(b[4:])
		if length < unix.NLMSG_HDRLEN || length > len(b) {
			return news{parts: all, lost: true}
		}
		n = n.with(l.about(kind, b[unix.NLMSG_HDRLEN:length]))
		b = b[min(aligned(length), len(b)):]
	}
	return n
}
