package control

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// TestTheWebAnswersItsOwnHostOnly: other methods, and names that a stranger may have
// made to lead here, are turned away before the handler sees them.
func TestTheWebAnswersItsOwnHostOnly(t *testing.T) {
	h := readOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "told") }))
	for _, c := range []struct {
		method, host string
		want         int
	}{
		{"GET", "127.0.0.1:6418", 200},
		{"GET", "127.0.0.1", 200},
		{"GET", "localhost:6418", 200},
		{"GET", "[::1]:6418", 200},
		{"GET", "[::1]", 200},
		{"GET", "evil.example.com:6418", 421},
		{"GET", "127.0.0.1.evil.example.com", 421},
		{"GET", "localhost.evil.example.com:6418", 421},
		{"GET", "192.168.1.10:6418", 421},
		{"GET", "", 421},
		{"GET", "[", 421},
		{"POST", "127.0.0.1:6418", 405},
		{"OPTIONS", "127.0.0.1:6418", 405},
		{"POST", "evil.example.com", 421},
	} {
		r := httptest.NewRequest(c.method, "/metrics", nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || (w.Body.String() == "told") != (c.want == 200) {
			t.Errorf("%s for %q: %d %q, want %d", c.method, c.host, w.Code, w.Body, c.want)
		}
	}
}

// TestTheWebIsOnLoopbackAndBounded: no other address is opened, and a connection
// that is one too many is closed.
func TestTheWebIsOnLoopbackAndBounded(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, a := range []string{"0.0.0.0:0", "192.0.2.1:0", "[::]:0"} {
		if s, err := ListenWeb(netip.MustParseAddrPort(a), http.NotFoundHandler(), log); err == nil {
			s.listener.Close()
			t.Errorf("%s was opened", a)
		}
	}
	s, err := ListenWeb(netip.MustParseAddrPort("127.0.0.1:0"), http.NotFoundHandler(), log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	at := s.listener.Addr().String()
	answered := 0
	for range maxWebConns + 4 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", at)
		if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
			answered++
		}
	}
	if answered != maxWebConns {
		t.Errorf("%d connections at a time were served, want %d", answered, maxWebConns)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
