package stack_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/lab/labtest"
	"mifvif/stack"
)

// toLoopback dials the same port on loopback: the "uplink" of these tests. The
// sockets it makes must be in the namespace, so a dialer goroutine locked to it
// makes them.
func toLoopback(dial func(port uint16) (*net.TCPConn, error)) func(*world, *stack.Request) {
	return func(w *world, r *stack.Request) {
		up, err := dial(r.Flow().Dst.Port())
		if err != nil {
			if errors.Is(err, unix.ECONNREFUSED) {
				r.Refuse(stack.Reset)
				return
			}
			r.Refuse(stack.HostUnreachable)
			return
		}
		c, err := r.Accept()
		if err != nil {
			up.Close()
			return
		}
		c.Join(context.Background(), up, w.ended)
	}
}

// makeDialer returns a dial function whose sockets are in the namespace of the
// calling thread, and a stop function.
func makeDialer(t *testing.T, host string) func(port uint16) (*net.TCPConn, error) {
	t.Helper()
	ns, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open the namespace: %v", err)
	}
	t.Cleanup(func() { unix.Close(ns) })
	return func(port uint16) (*net.TCPConn, error) {
		var conn *net.TCPConn
		err := within(ns, func() error {
			c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), port)))
			conn = c
			return err
		})
		return conn, err
	}
}

func TestConnectionsCarryBytesBothWaysAndHalfClose(t *testing.T) {
	t.Run("waiting", func(t *testing.T) { carryBothWays(t, func(*stack.Stack) {}) })
	t.Run("resting", func(t *testing.T) { carryBothWays(t, (*stack.Stack).Inattentive) })
}

func carryBothWays(t *testing.T, set func(*stack.Stack)) {
	t.Helper()
	labtest.InNamespace(t, func() {
		set(newWorld(t, toLoopback(makeDialer(t, "127.0.0.1"))).stack)
		srv := server(t, func(c *net.TCPConn) { // answers only after the client's FIN
			defer c.Close()
			h := sha256.New()
			n, _ := io.Copy(h, c)
			_, _ = c.Write(h.Sum(nil))
			_, _ = io.CopyN(c, zeros{}, n)
		})
		for _, host := range []string{"203.0.113.80", "2001:db8:ff::80"} {
			c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), srv.Port())))
			if err != nil {
				t.Errorf("connect through mif0 to %s: %v", host, err)
				return
			}
			h := sha256.New()
			const size = 20 << 20
			if _, err := io.CopyN(io.MultiWriter(c, h), zeros{}, size); err != nil {
				t.Errorf("send: %v", err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Errorf("half-close: %v", err)
			}
			got, err := io.ReadAll(c)
			if err != nil || len(got) != size+sha256.Size || string(got[:sha256.Size]) != string(h.Sum(nil)) {
				t.Errorf("%s: got %d bytes (%v), want digest and %d", host, len(got), err, size)
			}
			c.Close()
		}
	})
}

func TestClosedPortIsRefusedAndNetworkIsUnreachable(t *testing.T) {
	labtest.InNamespace(t, func() {
		newWorld(t, func(_ *world, r *stack.Request) {
			switch r.Flow().Dst.Port() {
			case 1:
				r.Refuse(stack.Reset)
			case 2:
				r.Refuse(stack.NetUnreachable)
			case 3:
				r.Refuse(stack.HostUnreachable)
			case 4:
				r.Refuse(stack.Prohibited)
			}
		})
		tests := []struct {
			addr string
			want error
		}{
			{"203.0.113.80:1", unix.ECONNREFUSED},
			{"203.0.113.80:2", unix.ENETUNREACH},
			{"203.0.113.80:3", unix.EHOSTUNREACH},
			{"203.0.113.80:4", unix.EHOSTUNREACH},
			{"[2001:db8::80]:1", unix.ECONNREFUSED},
			{"[2001:db8::80]:2", unix.ENETUNREACH},
			{"[2001:db8::80]:3", unix.EHOSTUNREACH},
			{"[2001:db8::80]:4", unix.EACCES},
		}
		for _, tt := range tests {
			begin := time.Now()
			_, err := net.DialTimeout("tcp", tt.addr, 5*time.Second)
			if !errors.Is(err, tt.want) {
				t.Errorf("connect to %s after %s: %v, want %v", tt.addr, time.Since(begin), err, tt.want)
			}
		}
		if _, err := net.DialTimeout("tcp", "203.0.113.80:5", 1500*time.Millisecond); !isTimeout(err) {
			t.Errorf("silence was answered: %v", err)
		}
	})
}

func TestResetPassesBothWays(t *testing.T) {
	labtest.InNamespace(t, func() {
		newWorld(t, toLoopback(makeDialer(t, "127.0.0.1")))
		got := make(chan error, 1)
		srv := server(t, func(c *net.TCPConn) {
			var b [1]byte
			if _, err := io.ReadFull(c, b[:]); err != nil {
				got <- err
				return
			}
			if b[0] == 'r' { // reset the client
				_ = c.SetLinger(0)
				c.Close()
				return
			}
			_, err := io.ReadFull(c, b[:])
			got <- err
			c.Close()
		})
		dst := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.80"), srv.Port()).String()
		c, err := net.Dial("tcp", dst)
		if err != nil {
			t.Errorf("connect: %v", err)
			return
		}
		_, _ = c.Write([]byte("r"))
		if _, err := io.ReadAll(c); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("server reset, client saw %v, want ECONNRESET", err)
		}
		c.Close()
		c, err = net.Dial("tcp", dst)
		if err != nil {
			t.Errorf("connect: %v", err)
			return
		}
		_, _ = c.Write([]byte("x"))
		time.Sleep(50 * time.Millisecond)
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		select {
		case err := <-got:
			if !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("client reset, server saw %v, want ECONNRESET", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("client reset, server saw nothing")
		}
	})
}

func TestPortsInTimeWaitAreUsedAgain(t *testing.T) {
	labtest.InNamespace(t, func() {
		newWorld(t, toLoopback(makeDialer(t, "127.0.0.1")))
		run(t, "sysctl -qw net.ipv4.ip_local_port_range='40000 40063'")
		srv := server(t, func(c *net.TCPConn) { c.Close() }) // the server closes first
		dst := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.80"), srv.Port()).String()
		var failed atomic.Int32
		for i := range 300 {
			c, err := net.DialTimeout("tcp", dst, 5*time.Second)
			if err != nil {
				failed.Add(1)
				t.Errorf("connection %d of 1000 over 64 ports: %v", i, err)
				if failed.Load() > 3 {
					return
				}
				continue
			}
			_, _ = io.ReadAll(c)
			c.Close()
		}
	})
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// TestResetDuringAnUploadIsNoFIN: the kernel tells of a RST once, to the write or to
// the read that comes first, and the other one sees what looks like a FIN. The app's
// own kernel does the same, so an app counts whose writes had all succeeded.
func TestResetDuringAnUploadIsNoFIN(t *testing.T) {
	labtest.InNamespace(t, func() {
		newWorld(t, toLoopback(makeDialer(t, "127.0.0.1")))
		srv := server(t, func(c *net.TCPConn) {
			_, _ = io.CopyN(io.Discard, c, 100_000)
			_ = c.SetLinger(0)
			c.Close()
		})
		dst := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.80"), srv.Port()).String()
		counted := 0
		for i := range 300 {
			c, err := net.Dial("tcp", dst)
			if err != nil {
				t.Errorf("connect: %v", err)
				return
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, err = io.CopyN(c, zeros{}, int64(100_000+i%100*3000))
			if err == nil {
				counted++
				_, err = c.Read(make([]byte, 1))
			}
			c.Close()
			if err == nil || errors.Is(err, io.EOF) || isTimeout(err) {
				t.Errorf("connection %d was reset in the middle of an upload, the app heard %v", i, err)
				return
			}
		}
		if counted < 30 {
			t.Errorf("only %d apps wrote without an error: nothing is shown", counted)
		}
	})
}
