package stack_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"mifvif/stack"
	"mifvif/tun"
)

// world is one namespace with a stack on its mif0 and a server on loopback.
type world struct {
	t     *testing.T
	dev   *tun.Device
	stack *stack.Stack
	mu    sync.Mutex
	errs  []error // how each joined connection ended
}

// newWorld must be called in the namespace; sockets made by the test's own
// thread are in it.
func newWorld(t *testing.T, handler func(w *world, r *stack.Request)) *world {
	t.Helper()
	run(t, "ip link set lo up; sysctl -qw net.ipv4.tcp_tw_reuse=1")
	dev, err := tun.Open(tun.Config{Name: "mif0", Addresses: []netip.Prefix{
		netip.MustParsePrefix("198.18.0.1/15"), netip.MustParsePrefix("2001:2::1/48"),
	}})
	if err != nil {
		t.Fatalf("open mif0: %v", err)
	}
	run(t, "ip route add default dev mif0; ip -6 route add default dev mif0")
	w := &world{t: t, dev: dev}
	w.stack, err = stack.New(stack.Config{MTU: 1500, Pending: 4096, PerSource: 1}, dev,
		func(r *stack.Request) { handler(w, r) }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("make the stack: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.stack.Run(ctx) })
	wg.Go(w.read)
	t.Cleanup(func() {
		cancel()
		dev.Close()
		wg.Wait()
	})
	return w
}

func (w *world) read() {
	b := tun.NewBatch()
	for {
		packets, err := w.dev.Read(b)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		for _, p := range packets {
			if len(p.Data) > 9 && (p.Data[0]>>4 == 4 && p.Data[9] == 6 || p.Data[0]>>4 == 6 && p.Data[6] == 6) {
				w.stack.Deliver(p.Header, p.Data)
			}
		}
	}
}

func (w *world) ended(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, err)
}

// run executes a shell line in the calling thread's namespace.
func run(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return strings.TrimSpace(string(out))
}

// server listens on loopback and hands every connection to serve.
func server(t *testing.T, serve func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen on loopback: %v", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// within runs f on a thread of the namespace ns.
func within(ns int, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is not given back
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}
