package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// A command is asked for in three steps over one connection. The client asks over
// HTTP for a domain and is refused there, or told to switch protocols. Then it
// sends the command with its files (the connection is handed to the process that
// is to be the command) and gets Words, one JSON document a line; what it sends
// after the first is signals, a byte each. Whoever closes the connection ends the
// command.

// commandProtocol is the name of what follows the HTTP of a request for a command.
const commandProtocol = "mifvif-command"

// commandRequest names the domain for a command.
type commandRequest struct {
	PvD string `json:"pvd"`
}

// Word is what the client hears of its command.
type Word struct {
	PID     int    `json:"pid,omitempty"`     // it runs
	Warning string `json:"warning,omitempty"` // with PID
	Error   string `json:"error,omitempty"`   // it does not, or not any more
	Ended   bool   `json:"ended,omitempty"`   // by itself, with:
	Code    int    `json:"code,omitempty"`
	Signal  int    `json:"signal,omitempty"`
}

// Refused is an error that policy is the reason of.
type Refused struct{ Err error }

// Error implements error.
func (r Refused) Error() string { return r.Err.Error() }

// Unwrap gives errors.Is and errors.As the error itself.
func (r Refused) Unwrap() error { return r.Err }

// CommandFunc finds out whether a user may have a command in a domain. If so it
// returns what talks with the client from then on, until ctx or the command ends;
// that is called exactly once where err is nil, with conn nil if the client has gone.
type CommandFunc func(uid uint32, pvd string) (serve func(ctx context.Context, conn *net.UnixConn), err error)

// serveCommand is the HTTP part of a command.
func (s *Server) serveCommand(start CommandFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, uid, err := request[commandRequest](r)
		if err != nil {
			reply(w, nil, err)
			return
		}
		s.commands.Add(1)
		defer s.commands.Done()
		serve, err := start(uid, q.PvD)
		if err != nil {
			reply(w, nil, err)
			return
		}
		conn, err := takeOver(w)
		if err != nil {
			s.log.Debug("a connection could not be taken over", "error", err)
			serve(r.Context(), nil)
			return
		}
		defer conn.Close()
		unixConn, _ := plain(conn).(*net.UnixConn)
		serve(r.Context(), unixConn) // which ends with Run
	}
}

// takeOver says that HTTP has ended and returns the connection.
func takeOver(w http.ResponseWriter) (net.Conn, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("take the connection over: %w", err)
	}
	if buffered.Reader.Buffered() > 0 {
		err = errors.New("the client did not wait for its answer")
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err == nil {
		_, err = fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n\r\n",
			http.StatusSwitchingProtocols, http.StatusText(http.StatusSwitchingProtocols), commandProtocol, cookieHeader, Cookie())
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// plain returns a connection without what limit puts around it.
func plain(c net.Conn) net.Conn {
	if p, ok := c.(*placed); ok {
		return p.Conn
	}
	return c
}
