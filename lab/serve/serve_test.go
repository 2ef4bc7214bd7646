package serve_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"mifvif/lab/serve"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func someone(netip.Addr) string { return "n7" }

func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func start(t *testing.T, handler serve.Handler) *net.TCPConn {
	t.Helper()
	l := listen(t)
	server := serve.NewTCP(l, handler)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() {
		c.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return c.(*net.TCPConn)
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSeenLineIsReadBack(t *testing.T) {
	for _, src := range []string{"192.0.2.1:4242", "[2001:db8::1]:1"} {
		want := netip.MustParseAddrPort(src)
		got, network, ok := serve.ParseSeen(serve.Seen(want, someone) + " and more\n")
		if !ok || got != want || network != "n7" {
			t.Errorf("%s came back as %v %q %v", src, got, network, ok)
		}
	}
	for _, bad := range []string{"", "SRC=x NET=y", "SRC=192.0.2.1:1", "NET=a SRC=192.0.2.1:1"} {
		if _, _, ok := serve.ParseSeen(bad); ok {
			t.Errorf("%q was taken for an answer", bad)
		}
	}
}

func TestPatternFindsWhatIsLost(t *testing.T) {
	var stream bytes.Buffer
	if _, err := io.CopyN(&stream, &serve.Pattern{}, 200_000); err != nil {
		t.Fatal(err)
	}
	if _, err := (&serve.Pattern{}).Write(stream.Bytes()); err != nil {
		t.Errorf("the pattern does not check itself: %v", err)
	}
	lost := append(stream.Bytes()[:70_000:70_000], stream.Bytes()[70_256:]...)
	if _, err := (&serve.Pattern{}).Write(lost); err == nil {
		t.Error("256 lost bytes were not found")
	}
}

func TestEchoGreetsAndEchoes(t *testing.T) {
	c := start(t, serve.Echo(someone))
	fmt.Fprint(c, "hello")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("SRC=%v NET=n7\nhello", c.LocalAddr())
	if got := readAll(t, c); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCountAnswersAfterHalfClose(t *testing.T) {
	c := start(t, serve.Count)
	fmt.Fprint(c, "12345")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, c); got != "GOT=5\n" {
		t.Errorf("got %q", got)
	}
}

func TestSourceSendsWhatIsAsked(t *testing.T) {
	c := start(t, serve.Source)
	fmt.Fprintln(c, 100_000)
	if n, err := io.Copy(&serve.Pattern{}, c); n != 100_000 || err != nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

func TestResetResets(t *testing.T) {
	c := start(t, serve.Reset(someone))
	fmt.Fprint(c, "x")
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsOpenConnections(t *testing.T) {
	l := listen(t)
	server := serve.NewTCP(l, serve.Echo(someone))
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil || server.Live() != 0 {
		t.Errorf("close: %v, %d live", err, server.Live())
	}
}

func TestHTTPLogsAndAnswers(t *testing.T) {
	l := listen(t)
	server := serve.NewHTTP(l, someone)
	defer server.Close()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]int{"/generate_204": 204, "/x": 200} {
		r, err := client.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want || len(server.Log.For(path)) != 1 {
			t.Errorf("%s: %s, log %v", path, r.Status, server.Log.Queries())
		}
	}
}

func TestDNSAnswersLogsAndFallsSilent(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := serve.NewDNS("a.example. A 192.0.2.1\nb.example. CNAME a.example.\n", []net.PacketConn{udp}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, tc := range []struct {
		name    string
		kind    uint16
		rcode   int
		answers int
	}{
		{"a.example.", dns.TypeA, dns.RcodeSuccess, 1},
		{"B.example.", dns.TypeA, dns.RcodeSuccess, 2},
		{"a.example.", dns.TypeAAAA, dns.RcodeSuccess, 0},
		{"c.example.", dns.TypeA, dns.RcodeNameError, 0},
	} {
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion(tc.name, tc.kind), udp.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		if reply.Rcode != tc.rcode || len(reply.Answer) != tc.answers {
			t.Errorf("%s: %v", tc.name, reply)
		}
		if len(server.Log.For(tc.name)) == 0 {
			t.Errorf("%s is not in the log", tc.name)
		}
	}
	server.SetSilent(true)
	client := dns.Client{Timeout: 100 * time.Millisecond}
	if _, _, err := client.Exchange(new(dns.Msg).SetQuestion("a.example.", dns.TypeA), udp.LocalAddr().String()); err == nil {
		t.Error("a silent server answered")
	}
}
