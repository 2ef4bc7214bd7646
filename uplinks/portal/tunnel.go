package portal

import (
	"io"
	"net"
	"net/http"
	"sync"
)

// tunnels are the connections that have left the HTTP server.
type tunnels struct {
	mu      sync.Mutex
	closed  bool
	open    map[net.Conn]struct{}
	running sync.WaitGroup
}

// add notes a connection, or closes it when the proxy has ended.
func (t *tunnels) add(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		c.Close()
		return false
	}
	if t.open == nil {
		t.open = make(map[net.Conn]struct{})
	}
	t.open[c] = struct{}{}
	return true
}

func (t *tunnels) remove(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
	c.Close()
}

// close ends every tunnel and returns when their copies have.
func (t *tunnels) close() {
	t.mu.Lock()
	t.closed = true
	for c := range t.open {
		c.Close()
	}
	t.mu.Unlock()
	t.running.Wait()
}

// tunnel joins a client with a server inside the domain (RFC 9110 9.3.6). The
// tunnel ends when either side does: a browser opens another.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	p.tunnels.running.Add(1)
	defer p.tunnels.running.Done()
	up, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if !p.tunnels.add(up) {
		return
	}
	defer p.tunnels.remove(up)
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil || !p.tunnels.add(down) {
		return
	}
	defer p.tunnels.remove(down)
	if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(down, up) // either side may go at any time
		down.Close()
	})
	_, _ = io.Copy(up, buffered)
	up.Close()
	back.Wait()
}
