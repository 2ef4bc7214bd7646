package dns

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// secret is a resolver that speaks TLS on the loopback, for the name example.com,
// and a Dialer that leads every address there. Whatever comes in the clear is noted.
type secret struct {
	tls     *httptest.Server // DoH
	dot     net.Listener
	opened  atomic.Int32
	clear   atomic.Int32
	lengths []int
	close1  atomic.Bool // close each connection behind its first answer
	path    string
}

func newSecret(t *testing.T) *secret {
	t.Helper()
	s := &secret{}
	s.tls = httptest.NewUnstartedServer(http.HandlerFunc(s.https))
	s.tls.EnableHTTP2 = true
	s.tls.StartTLS()
	t.Cleanup(s.tls.Close)
	var err error
	if s.dot, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: s.tls.TLS.Certificates}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() { s.dot.Close(); <-done })
	return s
}

func (s *secret) Dial(ctx context.Context, _ *pvd.Domain, network string, dst netip.AddrPort) (net.Conn, error) {
	to := s.dot.Addr().String()
	switch {
	case network != "tcp" || dst.Port() == 53:
		s.clear.Add(1)
		return nil, net.ErrClosed
	case dst.Port() == 443:
		to = s.tls.Listener.Addr().String()
	}
	s.opened.Add(1)
	var d net.Dialer
	return d.DialContext(ctx, "tcp", to)
}

func (s *secret) serve() {
	for {
		c, err := s.dot.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for {
				b, err := readMessage(c, wire.MaxMsgSize)
				q := new(wire.Msg)
				if err != nil || q.Unpack(b) != nil {
					return
				}
				s.lengths = append(s.lengths, len(b))
				if writeMessage(c, packed(respond(q, 0, q.Question[0].Name+" 60 IN A 203.0.113.80"))[0]) != nil || s.close1.Load() {
					return
				}
			}
		}()
	}
}

func (s *secret) https(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	q := new(wire.Msg)
	if q.Unpack(b) != nil || r.Header.Get("Content-Type") != dohType || r.URL.Path == "/moved" {
		http.Redirect(w, r, "https://example.org/", http.StatusTemporaryRedirect)
		return
	}
	s.path = r.URL.Path
	w.Header().Set("Content-Type", dohType)
	_, _ = w.Write(packed(respond(q, 0, q.Question[0].Name+" 60 IN A 203.0.113.80"))[0])
}

func TestEncryptedResolvers(t *testing.T) {
	plain := pvd.Resolver{Addr: netip.MustParseAddrPort("192.0.2.53:53")}
	dot := pvd.Resolver{Addr: netip.MustParseAddrPort("192.0.2.53:853"), Transport: pvd.DoT, Name: "example.com"}
	doh := pvd.Resolver{Addr: netip.MustParseAddrPort("192.0.2.53:443"), Transport: pvd.DoH, Name: "example.com", Path: "/q{?dns}"}
	change := func(r pvd.Resolver, name, path string) pvd.Resolver {
		r.Name, r.Path = name, path
		return r
	}
	for _, tt := range []struct {
		what      string
		resolvers []pvd.Resolver
		close1    bool
		want      int // rcode
		opened    int // connections for five questions, 0: any number
	}{
		{"DoT, one connection for all", []pvd.Resolver{plain, dot}, false, 0, 1},
		{"DoT, a resolver that hangs up", []pvd.Resolver{plain, dot}, true, 0, 5},
		{"DoH, one connection for all", []pvd.Resolver{plain, doh}, false, 0, 1},
		{"DoT by another name", []pvd.Resolver{plain, change(dot, "other.example", "")}, false, wire.RcodeServerFailure, 0},
		{"DoH by another name", []pvd.Resolver{plain, change(doh, "other.example", "/q")}, false, wire.RcodeServerFailure, 0},
		{"no name", []pvd.Resolver{plain, change(dot, "", "")}, false, wire.RcodeServerFailure, 0},
		{"DoH that sends us elsewhere", []pvd.Resolver{plain, change(doh, "example.com", "/moved")}, false, wire.RcodeServerFailure, 0},
	} {
		t.Run(tt.what, func(t *testing.T) {
			up := newSecret(t)
			up.close1.Store(tt.close1)
			d := domain(1, "fiber")
			d.Resolvers = tt.resolvers
			roots := x509.NewCertPool()
			roots.AddCert(up.tls.Certificate())
			s, stop := start(t, newWorld(d), func(c *Config) { c.Dialer, c.Roots = up, roots })
			defer stop()
			for i := range 5 {
				got := ask(t, s, query(fmt.Sprintf("n%d.example.net.", i), wire.TypeA))
				if got == nil || got.Rcode != tt.want || tt.want == 0 && len(got.Answer) != 1 {
					t.Fatalf("question %d: %s", i, brief(got))
				}
				if tt.want != 0 {
					break
				}
			}
			if n := up.clear.Load(); n > 0 {
				t.Errorf("asked in the clear %d times", n)
			}
			if n := int(up.opened.Load()); tt.opened > 0 && n != tt.opened {
				t.Errorf("%d connections for five questions, want %d", n, tt.opened)
			}
			for _, n := range up.lengths {
				if n%padTo != 0 {
					t.Errorf("a query of %d bytes is not padded (RFC 8467)", n)
				}
			}
			if tt.resolvers[1].Path == "/q{?dns}" && up.path != "/q" {
				t.Errorf("asked at %q", up.path)
			}
		})
	}
}

// A resolver's list says for which names it is asked (RFC 6731).
func TestListsOfResolvers(t *testing.T) {
	d := domain(1, "corp", "192.0.2.1", "192.0.2.2", "192.0.2.3")
	d.Resolvers[1].Only = true
	d.Resolvers[2].Preference = pvd.High
	list := func(zone string, i int) pvd.Zone { return pvd.Zone{Name: zone, Server: d.Resolvers[i].Addr} }
	d.Zones = []pvd.Zone{{Name: "example.com"}, list("corp.example.com", 1), list("lab.corp.example.com", 0)}
	for name, want := range map[string]string{
		"www.example.net.":      "[192.0.2.3:53 192.0.2.1:53]",
		"www.example.com.":      "[192.0.2.3:53 192.0.2.1:53]",
		"a.corp.example.com.":   "[192.0.2.2:53]",
		"lab.corp.example.com.": "[192.0.2.1:53]",
		"":                      "[192.0.2.3:53 192.0.2.1:53]",
	} {
		if got := fmt.Sprint(resolversFor(d, name)); got != want {
			t.Errorf("%q is asked of %s, want %s", name, got, want)
		}
	}
}
