package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"mifvif/lab"
)

// checks are what every host's traffic needs, problem of RFC 6418 or not.
func checks() []Scenario {
	return []Scenario{
		{ID: "truth", Title: "refused, prohibited, silent, half-closed and reset arrive as what they are (the kernel too)", Run: truth},
		{ID: "router", Title: "a client behind the host is carried by both networks, with its own address in the list", Layout: lab.WithLAN, Config: byPort + lanRule, Run: router},
		{ID: "ping-dead", Title: "nobody answers for a dead address (the kernel too)", Run: pingDead},
		{ID: "reuse", Title: "30,000 connections, the server closes first, ports are reused, none hangs (the kernel too)", Layout: fewPorts, Run: reuse},
		{ID: "mdns", Title: "names below local are asked of the neighbours on the link they belong to", Config: localAtE1, Run: neighbours},
		{ID: "iperf3", Title: "iperf3 up, down, -P 8, -u and -6 complete (the kernel too)", Config: byPort + iperfRule, Run: iperf},
		{ID: "truth-translated", Title: "the same of flows that the kernel translates", Config: translated, Run: truth},
		{ID: "router-translated", Title: "so are a client's flows that the kernel translates", Layout: lab.WithLAN, Config: byPort + lanRule + translated, Run: router},
		{ID: "reuse-translated", Title: "so it is with flows that the kernel translates", Layout: fewPorts, Config: translated, Run: reuse},
		{ID: "iperf3-translated", Title: "so they do translated by the kernel", Config: byPort + iperfRule + translated, Run: iperf},
	}
}

func truth(ctx context.Context, e *Env) error {
	return steps(
		func() error { return e.refused(ctx) },
		func() error { return e.unreachable(ctx) },
		func() error { return e.neverConnected(ctx) },
		func() error { return e.halfClosed(ctx) },
		func() error { return e.reset(ctx) },
	)
}

// refused asks a closed port: the best of several answers counts, so that a
// busy machine is no failure.
func (e *Env) refused(ctx context.Context) error {
	for _, dst := range bothFamilies(lab.PortClosed) {
		best := time.Hour
		for range 10 {
			start := time.Now()
			if err := e.connectFails(ctx, dst, syscall.ECONNREFUSED); err != nil {
				return err
			}
			best = min(best, time.Since(start))
		}
		if best > 10*time.Millisecond {
			return fmt.Errorf("a closed port of %v is refused after %v, want 10 ms", dst.Addr(), best)
		}
	}
	return nil
}

func (e *Env) unreachable(ctx context.Context) error {
	for dst, want := range map[netip.Addr]error{
		lab.Prohibited4(): syscall.EHOSTUNREACH, lab.Prohibited6(): syscall.EACCES,
		lab.Unreachable4(): syscall.EHOSTUNREACH, lab.Unreachable6(): syscall.ENETUNREACH,
	} {
		if err := e.connectFails(ctx, netip.AddrPortFrom(dst, lab.PortEcho), want); err != nil {
			return err
		}
	}
	return nil
}

func (e *Env) neverConnected(ctx context.Context) error {
	for _, dst := range []netip.Addr{lab.Silent4(), lab.Silent6()} {
		short, cancel := context.WithTimeout(ctx, 2500*time.Millisecond)
		err := e.connectFails(short, netip.AddrPortFrom(dst, lab.PortEcho), os.ErrDeadlineExceeded)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// connectFails returns nil when a connection to dst ends in want.
func (e *Env) connectFails(ctx context.Context, dst netip.AddrPort, want error) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	conn, err := e.Host.DialTCP(ctx, dst, lab.SocketOptions{})
	if err == nil {
		conn.Close()
		return fmt.Errorf("connected to %v, where nobody is", dst)
	}
	if !errors.Is(err, want) {
		return fmt.Errorf("%w, want %w", err, want)
	}
	return nil
}

// halfClosed finishes its direction and must still hear the answer, which the
// server gives only then.
func (e *Env) halfClosed(ctx context.Context) error {
	for _, dst := range bothFamilies(lab.PortCount) {
		conn, err := e.dial(ctx, dst, answerWithin)
		if err != nil {
			return err
		}
		defer conn.Close()
		sent := strings.Repeat("x", 300_000)
		if _, err := io.WriteString(conn, sent); err != nil {
			return err
		}
		if err := conn.CloseWrite(); err != nil {
			return err
		}
		answer, err := io.ReadAll(conn)
		if err != nil || string(answer) != fmt.Sprintf("GOT=%d\n", len(sent)) {
			return fmt.Errorf("after half-close the server said %q, %w", answer, err)
		}
	}
	return nil
}

// reset talks to a server that resets: the app must see a reset, not an end.
func (e *Env) reset(ctx context.Context) error {
	for _, dst := range bothFamilies(lab.PortReset) {
		conn, err := e.dial(ctx, dst, answerWithin)
		if err != nil {
			return err
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		if _, err := in.ReadString('\n'); err != nil {
			return err
		}
		if _, err := conn.Write([]byte("x")); err != nil {
			return err
		}
		if _, err := in.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("the server reset, the app saw %w", err)
		}
	}
	return e.resetByApp(ctx)
}

// resetByApp resets from the app's side: the server's connection must go.
func (e *Env) resetByApp(ctx context.Context) error {
	l, err := e.Core.ListenTCP(netip.AddrPortFrom(lab.Public4(), 9999))
	if err != nil {
		return err
	}
	defer l.Close()
	conn, err := e.Host.DialTCP(ctx, public4(9999), lab.SocketOptions{})
	if err != nil {
		return err
	}
	_ = l.SetDeadline(time.Now().Add(answerWithin))
	peer, err := l.AcceptTCP()
	if err != nil {
		conn.Close()
		return err
	}
	defer peer.Close()
	if err := errors.Join(conn.SetLinger(0), conn.Close()); err != nil {
		return err
	}
	_ = peer.SetReadDeadline(time.Now().Add(answerWithin))
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("the app reset, the server saw %w", err)
	}
	return nil
}

// pingDead pings the living first: a host that answers for nobody would be
// silent about the dead too.
func pingDead(ctx context.Context, e *Env) error {
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		if _, err := e.Tool(ctx, "ping", "-n", "-c", "1", "-W", "3", dst.String()); err != nil {
			return err
		}
	}
	for _, dst := range []netip.Addr{lab.Silent4(), lab.Silent6()} {
		exit, err := e.TryTool(ctx, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", dst.String())
		if err != nil {
			return err
		}
		if exit.Code != 1 || !strings.Contains(exit.Stdout, " 0 received") {
			return fmt.Errorf("ping to a dead address: %v", exit)
		}
	}
	return nil
}

// isTimeout reports whether err is a deadline that passed.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// translated has every TCP flow translated that can be.
const translated = "\ndefaults: {path: translate}\n"
