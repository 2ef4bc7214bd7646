package serve

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Page is one document of a server, which may change while it is served.
type Page struct {
	Type   string // Content-Type
	Body   string
	Status int // 0: 200
}

// Pages serves documents by path over TLS; any other path is not found.
type Pages struct {
	Log    Log
	server http.Server
	gone   chan error

	mu    sync.Mutex
	pages map[string]Page
}

// NewPages starts to serve; the server owns l.
func NewPages(l net.Listener, config *tls.Config) *Pages {
	s := &Pages{gone: make(chan error, 1), pages: make(map[string]Page)}
	s.server.ReadHeaderTimeout = 10 * time.Second
	s.server.Handler = http.HandlerFunc(s.serve)
	go func() { s.gone <- s.server.Serve(tls.NewListener(l, config)) }()
	return s
}

// Set replaces the document at a path.
func (s *Pages) Set(path string, p Page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = p
}

func (s *Pages) serve(w http.ResponseWriter, r *http.Request) {
	if src, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		s.Log.add(Query{Source: src, Via: "https", Name: r.URL.Path, Type: r.Method})
	}
	s.mu.Lock()
	p, ok := s.pages[r.URL.Path]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", p.Type)
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	_, _ = w.Write([]byte(p.Body)) // a client that went away
}

// Close ends the server and its connections.
func (s *Pages) Close() error {
	err := s.server.Close()
	if served := <-s.gone; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
