package dns

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	wire "github.com/miekg/dns"
	"go.uber.org/goleak"

	"mifvif/pvd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback dials real sockets.
type loopback struct{ *world }

func (loopback) Dial(ctx context.Context, _ *pvd.Domain, network string, dst netip.AddrPort) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, dst.String())
}

// listen opens one loopback port for both transports.
func listen(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, l
		}
		pc.Close() // somebody has the TCP port: try another
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// resolver runs miekg's server on a loopback port, both transports.
func resolver(t *testing.T) netip.AddrPort {
	t.Helper()
	handler := wire.HandlerFunc(func(w wire.ResponseWriter, q *wire.Msg) {
		m := respond(q, wire.RcodeSuccess, many(100)...)
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			m.Truncate(1232)
		}
		_ = w.WriteMsg(m)
	})
	pc, l := listen(t)
	var ready, work sync.WaitGroup
	t.Cleanup(work.Wait)
	for _, srv := range []*wire.Server{{PacketConn: pc, Handler: handler}, {Listener: l, Handler: handler}} {
		ready.Add(1)
		srv.NotifyStartedFunc = ready.Done
		work.Go(func() { _ = srv.ActivateAndServe() })
		t.Cleanup(func() { _ = srv.Shutdown() })
	}
	ready.Wait()
	return netip.MustParseAddrPort(pc.LocalAddr().String())
}

func TestForwardOverRealSockets(t *testing.T) {
	d := domain(1, "lo", "127.0.0.1")
	d.Resolvers[0].Addr = resolver(t)
	w := newWorld(d)
	s, stop := start(t, w, func(c *Config) { c.Dialer = loopback{w} })
	defer stop()
	var answered sync.WaitGroup
	for range 50 {
		answered.Go(func() {
			if m := overTCP(t, s, query("www.example.net.", wire.TypeAAAA)); len(m.Answer) != 100 {
				t.Errorf("got %d records, want 100", len(m.Answer))
			}
		})
	}
	answered.Wait()
	if got := ask(t, s, query("www.example.net.", wire.TypeAAAA)); !got.Truncated {
		t.Errorf("got %s over UDP, want TC", brief(got))
	}
}

func TestRefusedPortIsAFailureAtOnce(t *testing.T) {
	dead, live := domain(1, "dead", "127.0.0.1"), domain(2, "live", "127.0.0.1")
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Resolvers[0].Addr = netip.MustParseAddrPort(pc.LocalAddr().String())
	pc.Close()
	live.Resolvers[0].Addr = resolver(t)
	w := newWorld(dead, live)
	s, stop := start(t, w, func(c *Config) { c.Dialer = loopback{w} })
	defer stop()
	if got := ask(t, s, query("www.example.net.", wire.TypeAAAA)); got == nil || len(got.Answer) == 0 {
		t.Errorf("got %s, want the second domain's answer", brief(got))
	}
}
