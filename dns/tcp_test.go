package dns

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"
)

// dial gives an app a connection to the server; done is closed when the server
// has let go of it.
func dial(t *testing.T, s *Server) (c net.Conn, done chan struct{}) {
	t.Helper()
	ours, theirs := net.Pipe()
	done = make(chan struct{})
	go func() {
		defer close(done)
		s.ServeTCP(t.Context(), theirs)
	}()
	return ours, done
}

func send(t *testing.T, c net.Conn, q *wire.Msg) {
	t.Helper()
	b, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if err := writeMessage(c, b); err != nil {
		t.Fatalf("send query: %v", err)
	}
}

func receive(t *testing.T, c net.Conn) *wire.Msg {
	t.Helper()
	b, err := readMessage(c, wire.MaxMsgSize)
	if err != nil {
		t.Fatalf("receive answer: %v", err)
	}
	m := new(wire.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatalf("the answer cannot be read: %v", err)
	}
	return m
}

func overTCP(t *testing.T, s *Server, q *wire.Msg) *wire.Msg {
	t.Helper()
	c, done := dial(t, s)
	send(t, c, q)
	m := receive(t, c)
	c.Close()
	<-done
	return m
}

// slow answers names that begin with "slow" after a second.
func slow(n string, q *wire.Msg) [][]byte {
	if strings.HasPrefix(q.Question[0].Name, "slow") {
		time.Sleep(300 * time.Millisecond)
	}
	return packed(respond(q, wire.RcodeSuccess, q.Question[0].Name+" 60 IN A 203.0.113.80"))
}

func TestConnectionAnswersOutOfOrder(t *testing.T) {
	one(t, slow, func(t *testing.T, s *Server, _ *world) {
		t.Helper()
		c, done := dial(t, s)
		send(t, c, query("slow.example.net.", wire.TypeA))
		send(t, c, query("fast.example.net.", wire.TypeA))
		for _, want := range []string{"fast.example.net.", "slow.example.net."} {
			if got := receive(t, c); got.Question[0].Name != want || len(got.Answer) != 1 {
				t.Errorf("got the answer for %s, want %s", got.Question[0].Name, want)
			}
		}
		c.Close()
		<-done
	})
}

func TestConnectionEnds(t *testing.T) {
	raw := func(b ...byte) func(*testing.T, net.Conn) {
		return func(t *testing.T, c net.Conn) {
			t.Helper()
			go func() { _, _ = c.Write(b) }()
		}
	}
	tests := map[string]struct {
		do     func(*testing.T, net.Conn)
		within time.Duration
	}{
		"idle":           {func(*testing.T, net.Conn) {}, idleLimit},
		"half a length":  {raw(0), idleLimit},
		"half a message": {raw(0, 20, 1, 2, 3), idleLimit},
		"no header":      {raw(0, 3, 1, 2, 3), 0},
		"no length":      {raw(0, 0), 0},
		"too long":       {raw(0xff, 0xff), 0},
		"an answer":      {raw(0, 12, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			one(t, answers(good), func(t *testing.T, s *Server, _ *world) {
				t.Helper()
				begun := time.Now()
				c, done := dial(t, s)
				tt.do(t, c)
				<-done
				if took := time.Since(begun); took > tt.within {
					t.Errorf("closed after %v, want %v", took, tt.within)
				}
				c.Close()
			})
		})
	}
}

func TestClientThatDoesNotReadIsCutOff(t *testing.T) {
	one(t, answers(good), func(t *testing.T, s *Server, _ *world) {
		t.Helper()
		c, done := dial(t, s)
		send(t, c, query("www.example.net.", wire.TypeA))
		begun := time.Now()
		<-done
		if took := time.Since(begun); took > writeLimit {
			t.Errorf("held for %v, want %v", took, writeLimit)
		}
		c.Close()
	})
}

func TestPipelineIsBounded(t *testing.T) {
	one(t, silent, func(t *testing.T, s *Server, w *world) {
		t.Helper()
		c, done := dial(t, s)
		sent := make(chan int)
		go func() {
			n := 0
			for {
				b, _ := query(fmt.Sprintf("n%d.example.net.", n), wire.TypeA).Pack()
				if writeMessage(c, b) != nil {
					break
				}
				n++
			}
			sent <- n
		}()
		time.Sleep(100 * time.Millisecond)
		if n := len(w.seen()); n != maxPipeline {
			t.Errorf("%d queries of one connection are under way, want %d", n, maxPipeline)
		}
		c.Close()
		<-sent
		<-done
	})
}

func TestConnectionEndsWithItsContext(t *testing.T) {
	one(t, silent, func(t *testing.T, s *Server, _ *world) {
		t.Helper()
		ours, theirs := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.ServeTCP(ctx, theirs)
		}()
		send(t, ours, query("www.example.net.", wire.TypeA))
		begun := time.Now()
		cancel()
		<-done
		if took := time.Since(begun); took > 0 {
			t.Errorf("took %v", took)
		}
		ours.Close()
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s, stop := start(t, w, func(c *Config) { c.MaxConns, c.PerSource = 2, 1 })
		defer stop()
		a, doneA := dial(t, s)
		b, doneB := dial(t, s)
		synctest.Wait()
		c, doneC := dial(t, s)
		<-doneC
		if n := s.Drops()["connections"]; n != 1 {
			t.Errorf("%d connections counted as refused, want 1", n)
		}
		a.Close()
		b.Close()
		c.Close()
		<-doneA
		<-doneB
	})
}

func TestBusyServerSaysSoOnAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber := domain(1, "fiber", "192.0.2.53")
		w := newWorld(fiber)
		w.at(fiber, 0, silent)
		s, stop := start(t, w, func(c *Config) { c.MaxQueries, c.PerSource = 1, 1 })
		defer stop()
		c, done := dial(t, s)
		send(t, c, query("www.example.net.", wire.TypeA))
		synctest.Wait()
		q := query("other.example.net.", wire.TypeA)
		send(t, c, q)
		if got := receive(t, c); got.Id != q.Id || got.Rcode != wire.RcodeServerFailure {
			t.Errorf("got %s, want SERVFAIL for the query over the limit", brief(got))
		}
		c.Close()
		<-done
	})
}
