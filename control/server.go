package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Bounds of the socket.
const (
	maxBody     = 64 << 10
	maxConns    = 64
	readTimeout = 10 * time.Second
)

// cookieHeader tells clients which network namespace a daemon is of.
const cookieHeader = "Mifvif-Netns"

// Mistake is an error in what a person asked for or wrote into a file, not in
// doing it. A handler returns one, and the client gets one again.
type Mistake struct{ Err error }

// Error implements error.
func (m Mistake) Error() string { return m.Err.Error() }

// Unwrap gives errors.Is and errors.As the error itself.
func (m Mistake) Unwrap() error { return m.Err }

// Handlers are what the socket offers. All are safe for concurrent use. An
// error of Explain or Reload is shown to the person as it is.
type Handlers struct {
	Status  func() Status
	PvDs    func() []PvD
	Flows   func() []Flow
	Explain func(Question) (Explanation, error)
	Rules   func() []RuleInForce
	// Drain drains a domain or stops doing so.
	Drain func(context.Context, Drain) error
	// ChangeRules changes the rules of one user.
	ChangeRules func(ctx context.Context, uid uint32, c RuleChange) error
	Resolve     func(context.Context, NameQuestion) (Resolution, error)
	Cache       func() []CacheEntry
	Reload      func(context.Context) error
	Portal      PortalFunc
	Command     CommandFunc  // nil: none is run
	Events      *Events      // nil: there is no stream
	Metrics     http.Handler // nil: there are none
	// Profile offers the profiles of net/http/pprof below /debug/pprof/.
	Profile bool
}

// Server serves the control socket.
type Server struct {
	listener net.Listener
	http     *http.Server
	path     string
	log      *slog.Logger
	commands sync.WaitGroup
}

// Listen opens the socket at path, for root and the named group. A socket that
// nobody serves is replaced; where the daemon of another namespace serves it
// (they may share a file system) one named after this namespace is opened
// beside it.
func Listen(path, group string, h Handlers, log *slog.Logger) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the control socket: %w", err)
	}
	if served(path) {
		path = beside(path)
	}
	if err := removeSocket(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket (choose another place with --socket): %w", err)
	}
	if err := permit(path, group); err != nil {
		l.Close()
		return nil, err
	}
	s := &Server{listener: limit(l, maxConns), path: path, log: log}
	s.http = &http.Server{
		Handler: s.routes(h), ReadTimeout: readTimeout, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
		ConnContext: withAsker,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Path returns where the socket is.
func (s *Server) Path() string { return s.path }

// Run serves until ctx ends and removes the socket. What it has run for others has
// ended when it returns.
func (s *Server) Run(ctx context.Context) error {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	defer s.commands.Wait()
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if s.http.Shutdown(grace) != nil {
			_ = s.http.Close()
		}
	})
	err := s.http.Serve(s.listener)
	if !stop() {
		<-done
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the control socket: %w", err)
}

// permit lets root and one group in, and nobody else.
func permit(path, group string) error {
	if err := os.Chmod(path, 0o660); err != nil {
		return fmt.Errorf("protect the control socket: %w", err)
	}
	if group == "" {
		return nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return fmt.Errorf("control.group: %w", err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return fmt.Errorf("control.group: %w", err)
	}
	if err := os.Chown(path, -1, gid); err != nil {
		return fmt.Errorf("protect the control socket: %w", err)
	}
	return nil
}

// removeSocket removes the socket that a killed daemon left at path. Anything
// else that is there is somebody's, and stays.
func removeSocket(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && fi.Mode().Type() != os.ModeSocket {
		err = fmt.Errorf("%s is there and is no socket (choose another place with --socket)", path)
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("open the control socket: %w", err)
	}
	return nil
}

// RemoveDead removes the sockets that a killed daemon of this namespace may have left
// at path or beside it. One that is served stays, and so does what is no socket.
func RemoveDead(path string) error {
	var errs []error
	for _, p := range []string{path, beside(path)} {
		if fi, err := os.Lstat(p); err == nil && fi.Mode().Type() == os.ModeSocket && !served(p) {
			if err := os.Remove(p); err != nil {
				errs = append(errs, fmt.Errorf("remove the control socket of a killed daemon: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// served reports whether a daemon answers at path.
func served(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func (s *Server) routes(h Handlers) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, h.Status(), nil) })
	mux.HandleFunc("GET /v1/pvds", func(w http.ResponseWriter, _ *http.Request) { reply(w, h.PvDs(), nil) })
	mux.HandleFunc("GET /v1/flows", func(w http.ResponseWriter, _ *http.Request) { reply(w, h.Flows(), nil) })
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, r *http.Request) {
		d, err := question[Drain](r)
		if err == nil {
			err = h.Drain(r.Context(), d)
		}
		reply(w, struct{}{}, err)
	})
	mux.HandleFunc("GET /v1/rules", func(w http.ResponseWriter, _ *http.Request) { reply(w, h.Rules(), nil) })
	mux.HandleFunc("POST /v1/rules", func(w http.ResponseWriter, r *http.Request) {
		c, uid, err := request[RuleChange](r)
		if err == nil {
			err = h.ChangeRules(r.Context(), uid, c)
		}
		reply(w, struct{}{}, err)
	})
	mux.HandleFunc("POST /v1/explain", func(w http.ResponseWriter, r *http.Request) {
		q, err := question[Question](r)
		var e Explanation
		if err == nil {
			e, err = h.Explain(q)
		}
		reply(w, e, err)
	})
	mux.HandleFunc("POST /v1/resolve", func(w http.ResponseWriter, r *http.Request) {
		q, err := question[NameQuestion](r)
		var a Resolution
		if err == nil {
			a, err = h.Resolve(r.Context(), q)
		}
		reply(w, a, err)
	})
	mux.HandleFunc("GET /v1/cache", func(w http.ResponseWriter, _ *http.Request) { reply(w, h.Cache(), nil) })
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		reply(w, struct{}{}, h.Reload(r.Context()))
	})
	mux.HandleFunc("POST /v1/portal", servePortal(h.Portal))
	if h.Command != nil {
		mux.HandleFunc("POST /v1/command", s.serveCommand(h.Command))
	}
	if h.Events != nil {
		mux.HandleFunc("GET /v1/events", h.Events.serve)
	}
	if h.Metrics != nil {
		mux.Handle("GET /metrics", h.Metrics)
	}
	if h.Profile {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// question is what a client asks, which is its mistake if it cannot be read.
func question[Q any](r *http.Request) (q Q, err error) {
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&q); err != nil {
		return q, Mistake{fmt.Errorf("read what is asked for: %w", err)}
	}
	return q, nil
}

// request is a question with whose it is.
func request[Q any](r *http.Request) (q Q, uid uint32, err error) {
	if q, err = question[Q](r); err != nil {
		return q, 0, err
	}
	uid, ok := asker(r.Context())
	if !ok {
		return q, 0, errNobody
	}
	return q, uid, nil
}

// failure is what a client gets instead of a document.
type failure struct {
	Error string `json:"error"`
}

// reply writes one document, or the error.
func reply(w http.ResponseWriter, document any, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(cookieHeader, Cookie())
	if err != nil {
		status := http.StatusUnprocessableEntity
		switch {
		case errors.As(err, new(Mistake)):
			status = http.StatusBadRequest
		case errors.As(err, new(Refused)):
			status = http.StatusForbidden
		}
		w.WriteHeader(status)
		document = failure{err.Error()}
	}
	_ = json.NewEncoder(w).Encode(document) // the client has gone, if anything
}
