package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"time"

	"mifvif/pvd"
	"mifvif/uplinks/inside"
)

// Bounds of a proxy: it is for one person's browser.
const (
	maxHeader   = 64 << 10
	headerWait  = 10 * time.Second
	idleWait    = time.Minute
	connectWait = 10 * time.Second
)

// ErrGone says that the domain is no more.
var ErrGone = errors.New("the domain is gone")

// Config is what a Proxy needs of others.
type Config struct {
	inside.Network
	// Domain returns the domain as it is now, nil once it is gone. It must be safe
	// for concurrent use.
	Domain func() *pvd.Domain
}

// Proxy serves one domain. Make one with Open, serve with Run.
type Proxy struct {
	cfg      Config
	listener net.Listener
	server   http.Server
	forward  httputil.ReverseProxy
	tunnels  tunnels
}

// Open listens on a free port of the loopback. The caller runs the Proxy, which
// closes it.
func Open(cfg Config, log *slog.Logger) (*Proxy, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the portal's proxy: %w", err)
	}
	p := &Proxy{cfg: cfg, listener: l}
	quiet := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	p.forward = httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host },
		Transport: &http.Transport{DialContext: p.dial, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader},
		ErrorLog:  quiet,
	}
	p.server = http.Server{
		Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: headerWait, IdleTimeout: idleWait, MaxHeaderBytes: maxHeader, ErrorLog: quiet,
	}
	return p, nil
}

// Addr returns where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Run serves until ctx ends; every connection is closed when it returns.
func (p *Proxy) Run(ctx context.Context) error {
	p.server.BaseContext = func(net.Listener) context.Context { return ctx }
	stop := context.AfterFunc(ctx, func() { _ = p.server.Close() })
	defer stop()
	err := p.server.Serve(p.listener)
	p.tunnels.close()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the portal's proxy: %w", err)
}

// serve answers one request: a tunnel or a page.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		p.tunnel(w, r)
	case r.URL.Scheme == "http" && r.URL.Host != "":
		p.forward.ServeHTTP(w, r)
	default:
		http.Error(w, "this is an HTTP proxy for one captive network", http.StatusBadRequest)
	}
}

// dial connects to a host inside the domain.
func (p *Proxy) dial(ctx context.Context, network, host string) (net.Conn, error) {
	d := p.cfg.Domain()
	if d == nil {
		return nil, ErrGone
	}
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	return p.cfg.DialHost(ctx, d, network, host)
}
