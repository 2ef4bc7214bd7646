package control

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// maxWebConns bounds the connections of programs on loopback.
const maxWebConns = 16

// ListenWeb opens a loopback address for programs that speak HTTP and cannot ask
// the socket. Any user of this host reaches it, so that h must tell nothing that
// not everybody may know, and nothing is changed there: only GET is answered.
func ListenWeb(at netip.AddrPort, h http.Handler, log *slog.Logger) (*Server, error) {
	if !at.Addr().IsLoopback() {
		return nil, fmt.Errorf("open control.web: %s is no loopback address", at)
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("open control.web (choose another port, or web: \"\" for none): %w", err)
	}
	s := &Server{listener: limit(l, maxWebConns), log: log}
	s.http = &http.Server{
		Handler: readOnly(h), ReadTimeout: readTimeout, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// readOnly answers GET of those who name this host by a loopback address or as
// localhost. A page on the Internet whose name was made to lead here (DNS
// rebinding) has its browser send the page's own name.
func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !loopbackHost(r.Host):
			http.Error(w, "this host is asked by its loopback address or as localhost", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "only GET is answered here", http.StatusMethodNotAllowed)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// loopbackHost reports whether a Host header names the host itself.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
