package serve

import (
	"errors"
	"net"
	"net/http"
	"time"
)

// web is an HTTP server from its start until it is closed.
type web struct {
	server http.Server
	gone   chan error
}

// start begins to serve; the server owns l.
func (s *web) start(l net.Listener, handler http.Handler) {
	s.gone = make(chan error, 1)
	s.server.ReadHeaderTimeout = 10 * time.Second
	s.server.Handler = handler
	go func() { s.gone <- s.server.Serve(l) }()
}

// Close ends the server and its connections.
func (s *web) Close() error {
	err := s.server.Close()
	if served := <-s.gone; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
