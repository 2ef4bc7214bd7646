package serve

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// Page is one document of a server, which may change while it is served.
type Page struct {
	Type   string // Content-Type
	Body   string
	Status int // 0: 200
}

// Pages serves documents by path over TLS; any other path is not found.
type Pages struct {
	Log Log
	web

	mu    sync.Mutex
	pages map[string]Page
}

// NewPages starts to serve; the server owns l.
func NewPages(l net.Listener, config *tls.Config) *Pages {
	s := &Pages{pages: make(map[string]Page)}
	s.start(tls.NewListener(l, config), http.HandlerFunc(s.serve))
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
