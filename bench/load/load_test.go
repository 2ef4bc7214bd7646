package load_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mifvif/bench/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server greets, and closes then or echoes.
func server(t *testing.T, greeting string, closes bool) netip.AddrPort {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, greeting)
				if !closes {
					_, _ = io.Copy(c, c)
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestConnectionsAreCounted(t *testing.T) {
	for _, c := range []struct {
		end      string
		greeting string
		closes   bool
		failed   int
	}{
		{"server", "hello\n", true, 0},
		{"client", "hello\n", false, 0},
		{"reset", "hello\n", false, 0},
		{"server", "cut short", true, 50}, // the greeting never ends
	} {
		task := load.Task{
			Kind: "conns", Network: "tcp", Server: server(t, c.greeting, c.closes), Ports: 1, Workers: 4, Count: 50, Close: c.end,
		}
		o, err := load.Run(t.Context(), task, nil)
		if err != nil || o.Failed != c.failed || o.Done+o.Failed != 50 {
			t.Errorf("%s after %q: %+v, %v; want %d failed", c.end, c.greeting, o, err, c.failed)
		}
	}
}

func TestALoadKeepsItsPaceAndItsTime(t *testing.T) {
	began := time.Now()
	o, err := load.Run(t.Context(), load.Task{
		Kind: "connect", Network: "tcp", Server: server(t, "hello\n", false), Ports: 1, Workers: 1, Count: 1 << 30, Seconds: 0.2, Pause: 0.02,
	}, nil)
	if took := time.Since(began); err != nil || o.Failed > 0 || o.Done < 1 || o.Done > 11 || took < 200*time.Millisecond {
		t.Errorf("%+v after %v, %v; want one connect each 20 ms for 200 ms", o, took, err)
	}
}

func TestPingTakesTime(t *testing.T) {
	o, err := load.Run(t.Context(), load.Task{
		Kind: "ping", Network: "tcp", Server: server(t, "hello\n", false), Ports: 1, Workers: 1, Count: 100,
	}, nil)
	if err != nil || o.Done != 100 || o.P50 <= 0 || o.P99 < o.P50 || o.Rate() <= 0 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestFlowsAreHeldWhileTheyAreLookedAt(t *testing.T) {
	held := false
	o, err := load.Run(t.Context(), load.Task{
		Kind: "hold", Network: "tcp", Server: server(t, "hello\n", false), Ports: 1, Workers: 4, Count: 20,
	}, func() { held = true })
	if err != nil || o.Failed > 0 || !held {
		t.Errorf("%+v, %v, held %v", o, err, held)
	}
}

func TestABadTaskIsAnError(t *testing.T) {
	for _, task := range []load.Task{{}, {Kind: "sing", Ports: 1, Workers: 1, Count: 1}} {
		if _, err := load.Run(t.Context(), task, nil); err == nil {
			t.Errorf("%+v ran", task)
		}
	}
}

func TestAnEndedContextEndsTheLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	o, err := load.Run(ctx, load.Task{
		Kind: "conns", Network: "tcp", Server: server(t, "hello\n", true), Ports: 1, Workers: 2, Count: 1 << 30, Close: "server",
	}, nil)
	if err != nil || time.Since(began) > 2*time.Second {
		t.Errorf("%+v, %v after %v", o, err, time.Since(began))
	}
}
