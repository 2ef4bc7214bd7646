package control

import (
	"net"
	"sync"
)

// limited is a listener with a bound on open connections.
type limited struct {
	net.Listener
	places chan struct{}
}

func limit(l net.Listener, n int) net.Listener {
	return &limited{l, make(chan struct{}, n)}
}

// Accept implements net.Listener; a connection without a place is closed.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &placed{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
		default:
			c.Close()
		}
	}
}

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (p *placed) Close() error {
	p.leave()
	return p.Conn.Close()
}
