package serve

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
)

// HTTP answers /generate_204 with 204 and everything else with a Seen line.
type HTTP struct {
	Log Log
	web
}

// NewHTTP starts to serve; the server owns l.
func NewHTTP(l net.Listener, name Namer) *HTTP {
	s := &HTTP{}
	s.start(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	}))
	return s
}
