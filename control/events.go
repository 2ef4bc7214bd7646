package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Event is one change, as `mifvif watch` prints it.
type Event struct {
	Time   time.Time `json:"time"`
	Type   string    `json:"type"` // pvd.added, pvd.removed, pvd.state, pvd.changed, flow.moved, flow.refused, conflict, reload, warning
	PvD    string    `json:"pvd"`
	Detail string    `json:"detail"`
}

// Bounds of the event stream.
const (
	maxListeners = 16
	maxBehind    = 256 // events that a listener has not taken yet
)

// Events hands each event to everybody who listens. The zero Events is ready; it
// is safe for concurrent use.
type Events struct {
	mu        sync.Mutex
	listeners map[chan Event]bool
}

// Publish hands an event to all listeners. It never waits: a listener that is too
// far behind is cut off, and finds its channel closed.
func (e *Events) Publish(one Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for l := range e.listeners {
		select {
		case l <- one:
		default:
			delete(e.listeners, l)
			close(l)
		}
	}
}

// errListeners is for the listener that is one too many.
var errListeners = errors.New("there are enough listeners")

// listen returns a channel of all events from now on, and what ends it.
func (e *Events) listen() (<-chan Event, func(), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.listeners) >= maxListeners {
		return nil, nil, errListeners
	}
	if e.listeners == nil {
		e.listeners = make(map[chan Event]bool)
	}
	l := make(chan Event, maxBehind)
	e.listeners[l] = true
	return l, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.listeners, l)
	}, nil
}

// serve streams events to one client, a line each, until it goes away.
func (e *Events) serve(w http.ResponseWriter, r *http.Request) {
	events, stop, err := e.listen()
	if err != nil {
		reply(w, nil, err)
		return
	}
	defer stop()
	out := http.NewResponseController(w)
	_ = out.SetWriteDeadline(time.Time{}) // a stream has no end
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set(cookieHeader, Cookie())
	w.WriteHeader(http.StatusOK)
	encoder := json.NewEncoder(w)
	for {
		if out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case one, ok := <-events:
			if !ok {
				one = Event{Time: time.Now(), Type: "warning", Detail: "too far behind: events were lost, the stream ends"}
			}
			if encoder.Encode(one) != nil || !ok {
				return
			}
		}
	}
}
