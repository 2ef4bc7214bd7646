package serve

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// HTTP answers /generate_204 with 204 and everything else with a Seen line.
type HTTP struct {
	Log    Log
	server http.Server
	gone   chan error
}

// NewHTTP starts to serve; the server owns l.
func NewHTTP(l net.Listener, name Namer) *HTTP {
	s := &HTTP{gone: make(chan error, 1)}
	s.server.ReadHeaderTimeout = 10 * time.Second
	s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		src, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		s.Log.add(Query{Source: src, Via: "http", Name: r.URL.Path, Type: r.Method})
		if r.URL.Path == "/generate_204" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprintln(w, Seen(src, name))
	})
	go func() { s.gone <- s.server.Serve(l) }()
	return s
}

// Close ends the server and its connections.
func (s *HTTP) Close() error {
	err := s.server.Close()
	if served := <-s.gone; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
