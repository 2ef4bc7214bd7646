package nat

import (
	"time"

	"mifvif/nat/offload"
	"mifvif/packet"
	"mifvif/pvd"
)

// Attempt is what a SYN is sent with.
type Attempt struct {
	Past Past
	More bool // there is another candidate
	// Patience is how long the candidate may be silent; 0: until the app has asked
	// again for a few seconds, if there is another one.
	Patience time.Duration
	// Declined is called with the SYN's headers when the candidate has been silent for
	// that long: the flow is not translated any more, and its app has noticed nothing.
	// It may take the time of a packet's way through the house.
	Declined func(syn []byte)
}

// Past is what has become of a flow's SYN before.
type Past struct {
	Tried    []pvd.Key // candidates that were silent
	Declined bool      // see Attempt: it should be terminated
}

// patience is how long one candidate may be silent while another is left: until the
// SYN that the app sends after three seconds (RFC 6298 5.5 and 5.7).
const patience = 2500 * time.Millisecond

// hurryEvery is how often it is looked whose time is over.
const hurryEvery = 10 * time.Millisecond

// maxDeclined bounds the flows that were declined and have not come back yet: each
// does at once, unless the house has no room for it.
const maxDeclined = 4096

// await has hurry look at a stream when its time is over. t.mu is held.
func (t *Streams) await(s *Stream, syn []byte, a Attempt) {
	if a.Patience <= 0 {
		return
	}
	s.patience, s.declined = a.Patience, a.Declined
	s.syn = append([]byte(nil), syn...)
	packet.ReaddressSYN(s.syn, s.key.src, 0xffff, true) // whole, whether it had data or not
	if t.due = append(t.due, s); len(t.due) > 1 {
		return // somebody looks already, and is not to be put off
	}
	select {
	case t.rouse <- struct{}{}:
	default:
	}
}

// hurry declines the streams that nobody has answered in time, and reports whether
// there are others to look at.
func (t *Streams) hurry() bool {
	now := offload.Now()
	var late []*Stream
	var ended []func()
	t.mu.Lock()
	left := t.due[:0]
	for _, s := range t.due {
		switch {
		case s.gone || s.over:
		case now-s.began < s.patience && !s.left:
			left = append(left, s)
		case s.phaseOf(t.kernel.Traffic(s.flow)) != opening:
		default:
			ended = append(ended, s.finish(t.forget(s)))
			if len(t.declined) >= maxDeclined {
				clear(t.declined)
			}
			t.declined[s.key] = struct{}{}
			late = append(late, s)
		}
	}
	clear(t.due[len(left):])
	t.due = left
	t.counted()
	t.mu.Unlock()
	for i, s := range late {
		ended[i]()
		s.declined(s.syn)
	}
	return len(left) > 0
}

// counted notes whether Again has anything to look for. t.mu is held.
func (t *Streams) counted() { t.count.Store(int64(len(t.byApp) + len(t.declined))) }
