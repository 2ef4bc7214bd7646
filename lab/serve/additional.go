package serve

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// Additional serves the additional information of provisioning domains over HTTPS
// (RFC 8801 4), each domain's under its own name. Its log has an "https" entry for
// each TLS handshake that was begun, with the name that was asked for.
type Additional struct {
	Log Log
	web
	authority *Authority

	mu      sync.Mutex
	objects map[string]Info
}

// Info is what a server answers for one domain.
type Info struct {
	Body        string
	Certificate string // the name in the certificate, "" for the domain's own
}

// NewAdditional starts to serve; the server owns l.
func NewAdditional(l net.Listener, authority *Authority) *Additional {
	s := &Additional{authority: authority, objects: make(map[string]Info)}
	s.server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // clients are to refuse some certificates
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := s.info(r.Host)
		if !ok || r.URL.Path != "/.well-known/pvd" || r.Header.Get("Accept") != "application/pvd+json" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/pvd+json")
		fmt.Fprintln(w, info.Body)
	})
	s.start(tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: s.certify}), handler)
	return s
}

// Set says what is answered for a domain.
func (s *Additional) Set(id string, info Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[id] = info
}

func (s *Additional) info(id string) (Info, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, ok := s.objects[id]
	return info, ok
}

func (s *Additional) certify(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	src, err := netip.ParseAddrPort(hello.Conn.RemoteAddr().String())
	if err != nil {
		return nil, fmt.Errorf("read a client's address: %w", err)
	}
	s.Log.add(Query{Source: src, Via: "https", Name: hello.ServerName})
	name := hello.ServerName
	if info, ok := s.info(name); ok && info.Certificate != "" {
		name = info.Certificate
	}
	return s.authority.Config(name)
}
