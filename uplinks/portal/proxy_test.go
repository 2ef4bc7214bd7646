package portal

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"mifvif/pvd"
	"mifvif/uplinks/inside"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// captive is a domain in which every name has one address, and every address is
// the server at to.
type captive struct {
	domain *pvd.Domain
	to     string
	mu     sync.Mutex
	dialed []netip.AddrPort
}

func (i *captive) lookup(_ context.Context, _ *pvd.Domain, name string) ([]netip.Addr, error) {
	if name == "rebound.example" {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("10.1.0.99")}, nil
}

func (i *captive) dial(ctx context.Context, _ *pvd.Domain, network string, dst netip.AddrPort) (net.Conn, error) {
	i.mu.Lock()
	i.dialed = append(i.dialed, dst)
	i.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, i.to)
}

// proxy runs one until the test is over and returns a client that uses it.
func proxy(t *testing.T, i *captive) *http.Client {
	t.Helper()
	p, err := Open(Config{Network: inside.Network{Dial: i.dial, Lookup: i.lookup}, Domain: func() *pvd.Domain { return i.domain }}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); run.Wait() })
	through := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: p.Addr()})}
	t.Cleanup(through.CloseIdleConnections)
	return &http.Client{Transport: through}
}

func TestPagesComeFromTheDomain(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "log in at "+r.Host) }))
	defer srv.Close()
	i := &captive{domain: &pvd.Domain{Name: "wifi"}, to: srv.Listener.Addr().String()}
	resp, err := proxy(t, i).Get("http://captive.invalid/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if string(body) != "log in at captive.invalid" {
		t.Errorf("got %q", body)
	}
	if len(i.dialed) != 1 || i.dialed[0] != netip.MustParseAddrPort("10.1.0.99:80") {
		t.Errorf("connected to %v", i.dialed)
	}
}

func TestTunnelsCarryTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") }))
	defer srv.Close()
	i := &captive{domain: &pvd.Domain{Name: "wifi"}, to: srv.Listener.Addr().String()}
	c := proxy(t, i)
	c.Transport.(*http.Transport).TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
	resp, err := c.Get("https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "secret" {
		t.Errorf("got %q", body)
	}
}

func TestNothingOfTheHostsIsReached(t *testing.T) {
	for _, where := range []string{"http://127.0.0.1:1/", "http://rebound.example/", "http://[::1]:1/", "https://rebound.example/"} {
		i := &captive{domain: &pvd.Domain{Name: "wifi"}, to: "127.0.0.1:1"}
		resp, err := proxy(t, i).Get(where)
		if err == nil {
			resp.Body.Close()
		}
		if len(i.dialed) != 0 {
			t.Errorf("%s: connected to %v", where, i.dialed)
		}
	}
}

func TestGoneDomainReachesNothing(t *testing.T) {
	i := &captive{to: "127.0.0.1:1"}
	resp, err := proxy(t, i).Get("http://captive.invalid/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway || len(i.dialed) != 0 {
		t.Errorf("got %s, connected to %v", resp.Status, i.dialed)
	}
}

func TestWhatIsNoProxyRequestIsRefused(t *testing.T) {
	i := &captive{domain: &pvd.Domain{Name: "wifi"}, to: "127.0.0.1:1"}
	c := proxy(t, i)
	proxyURL, _ := c.Transport.(*http.Transport).Proxy(new(http.Request))
	resp, err := http.Post("http://"+proxyURL.Host+"/", "text/plain", strings.NewReader("x"))
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("got %s", resp.Status)
	}
}
