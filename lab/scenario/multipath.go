package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// multipathChecks are what rules say of Multipath TCP, beside row 3.8-5.
func multipathChecks() []Scenario {
	return []Scenario{
		{ID: "multipath", Title: "subflows go where the rules allow and nowhere else, a metered network stands by, and what is required is had or refused", Layout: bothSlow, Config: severalPaths, Run: subflows},
	}
}

// severalPaths says by port of the server's second address what is wanted; e2 is
// metered.
const severalPaths = `
pvds:
  - {name: e2, interface: e2, metered: true}
rules:
  - {name: one, match: {port: 7201, dst: [203.0.113.81/32]}, require: [e1], mptcp: auto}
  - {name: both-ways, match: {port: 7200, dst: [203.0.113.81/32]}, prefer: [e1], mptcp: auto}
  - {name: strict, match: {port: 7100}, mptcp: require}
  - {name: never, match: {port: 7200}, mptcp: "off"}
  - {name: several, match: {port: 7201, user: [root], dst: [203.0.113.80/32]}, mptcp: require}
`

// carried is a flow of `mifvif flows --json`.
type carried struct {
	ID, Dst, PvD string
	MPTCP        struct {
		Subflows int
		Paths    []struct {
			PvD, Source string
			Backup      bool
		}
	}
}

// paths waits for a flow to be on some networks: "e1 e2(backup)".
func (e *Env) paths(ctx context.Context, dst netip.AddrPort, want string) error {
	return within(ctx, func() error {
		var all []carried
		if err := e.JSON(ctx, &all, "flows"); err != nil {
			return err
		}
		got := "no flow"
		for _, f := range all {
			if f.Dst != dst.String() {
				continue
			}
			var names []string
			for _, p := range f.MPTCP.Paths {
				name := p.PvD
				if p.Backup {
					name += "(backup)"
				}
				names = append(names, name)
			}
			if got = strings.Join(names, " "); got == want && f.MPTCP.Subflows == len(names) {
				return nil
			}
		}
		return fmt.Errorf("the flow to %v is on %q, want %q", dst, got, want)
	})
}

func subflows(ctx context.Context, e *Env) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	return steps(
		func() error { return e.standsBy(ctx) },
		func() error { return e.staysOnOne(ctx) },
		func() error { return e.bothWays(ctx) },
		func() error { return e.readLater(ctx) },
		func() error { return e.byTheApp(ctx) },
		func() error { return e.hadOrRefused(ctx) },
	)
}

// standsBy has a transfer over the better network, while the metered one carries
// nothing of it until it is needed, and nothing again when it is not.
func (e *Env) standsBy(ctx context.Context) error {
	const size = 32 << 20
	dst := public4(multipathSource)
	moved, err := e.watch(ctx)
	if err != nil {
		return err
	}
	long, err := e.begin(ctx, dst, size)
	if err != nil {
		return err
	}
	defer long.Close()
	if err := errors.Join(long.take(size/32), e.paths(ctx, dst, "e1 e2(backup)")); err != nil {
		return err
	}
	metered, err := e.Host.Capture("e2", func(r lab.Record) bool { return r.SrcPort == dst.Port() && r.Size > 1000 })
	if err != nil {
		return err
	}
	defer metered.Close()
	if err := long.take(size / 8); err != nil {
		return err
	}
	if n := len(metered.Records()); n > 0 {
		return fmt.Errorf("%d packets of the transfer came by the metered network", n)
	}
	if err := e.Unplug("n1"); err != nil {
		return err
	}
	if err := errors.Join(long.take(size/8), e.paths(ctx, dst, "e2(backup)")); err != nil {
		return err
	}
	if err := moved.once(ctx, "flow.moved", "e2", "failure"); err != nil {
		return err
	}
	if err := e.Plug("n1"); err != nil {
		return err
	}
	if err := errors.Join(long.take(size/32), e.paths(ctx, dst, "e2(backup) e1")); err != nil {
		return err
	}
	return long.take(size - size/32 - 2*size/8 - size/32)
}

// staysOnOne has a rule name the only network.
func (e *Env) staysOnOne(ctx context.Context) error {
	const size = 4 << 20
	dst := netip.AddrPortFrom(lab.Second4(), multipathSource)
	other, err := e.Host.Capture("e2", func(r lab.Record) bool { return r.Dst == dst.Addr() && r.DstPort == dst.Port() })
	if err != nil {
		return err
	}
	defer other.Close()
	long, err := e.begin(ctx, dst, size)
	if err != nil {
		return err
	}
	defer long.Close()
	if err := errors.Join(long.take(size/2), e.paths(ctx, dst, "e1"), long.take(size/2)); err != nil {
		return err
	}
	return nothing(other, "packets were seen on a network that the rule does not name")
}

// bothWays has a conversation lose its network in the middle and go on in both
// directions, its half-close (RFC 9293 3.6.1) included; a drained network is left.
func (e *Env) bothWays(ctx context.Context) error {
	const size = 8 << 20
	dst := netip.AddrPortFrom(lab.Second4(), lab.PortMultipath)
	conn, err := e.Host.DialTCP(ctx, dst, lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	in := bufio.NewReader(conn)
	if _, err := in.ReadString('\n'); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, io.LimitReader(&serve.Pattern{}, size))
		sent <- errors.Join(err, conn.CloseWrite())
	}()
	check := &serve.Pattern{}
	if _, err := io.CopyN(check, in, size/8); err != nil {
		return errors.Join(err, conn.Close(), <-sent)
	}
	if err := e.whileDrained(ctx, "e1", func() error { return e.paths(ctx, dst, "e2(backup)") }); err != nil {
		return errors.Join(err, conn.Close(), <-sent)
	}
	err = steps(
		func() error { return e.paths(ctx, dst, "e2(backup) e1") },
		func() error { return e.Unplug("n1") },
	)
	rest, cerr := io.Copy(check, in)
	if err = errors.Join(err, cerr, <-sent, e.Plug("n1")); err != nil || rest != size-size/8 {
		return fmt.Errorf("both ways, after %d of %d bytes back: %w", rest, size-size/8, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return within(ctx, func() error { return e.Carried(ctx, "n1", public4(lab.PortEcho), lab.SocketOptions{}) })
}

// readLater has apps that have said all read the answers long after the server has
// said all too: what waits on the way is not lost with the subflows, which the kernel
// takes away then. How much that is depends on how much each on the way holds.
func (e *Env) readLater(ctx context.Context) error {
	type answer struct {
		conn *net.TCPConn
		size int64
	}
	var all []answer
	for size := int64(160 << 10); size <= 400<<10; size += 20 << 10 {
		conn, err := e.Host.DialTCP(ctx, public4(multipathSource), lab.SocketOptions{})
		if err != nil {
			return err
		}
		defer conn.Close()
		deadline, _ := ctx.Deadline()
		_ = conn.SetDeadline(deadline)
		_, err = fmt.Fprintf(conn, "%d\n", size)
		if err = errors.Join(err, conn.CloseWrite()); err != nil {
			return err
		}
		all = append(all, answer{conn, size})
	}
	time.Sleep(5 * time.Second) // longer than anybody waits with looking at them
	for _, a := range all {
		if n, err := io.Copy(&serve.Pattern{}, a.conn); err != nil || n != a.size {
			return fmt.Errorf("an answer that was read late, after %d of %d bytes: %w", n, a.size, errors.Join(err, io.ErrUnexpectedEOF))
		}
	}
	return nil
}

// whileDrained calls f while a domain is drained.
func (e *Env) whileDrained(ctx context.Context, domain string, f func() error) error {
	if err := e.command(ctx, "drain", domain); err != nil {
		return err
	}
	return errors.Join(f(), e.command(ctx, "undrain", domain))
}

// byTheApp has an app's own socket ask for Multipath TCP where no rule speaks of it,
// and where one says off.
func (e *Env) byTheApp(ctx context.Context) error {
	for port, want := range map[uint16]string{lab.PortMultipath: "", multipathSource: "e1 e2(backup)"} {
		dst := netip.AddrPortFrom(lab.Public6(), port)
		conn, err := e.Host.DialTCP(ctx, dst, lab.SocketOptions{Multipath: true})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(conn, "%d\n", 64<<20)
		err = errors.Join(err, e.paths(ctx, dst, want))
		conn.Close()
		if err != nil {
			return fmt.Errorf("an app that asks for it: %w", err)
		}
	}
	return nil
}

// hadOrRefused requires Multipath TCP of a server that has none.
func (e *Env) hadOrRefused(ctx context.Context) error {
	refused, err := e.watch(ctx)
	if err != nil {
		return err
	}
	for _, dst := range bothFamilies(lab.PortSourceFrom) {
		if err := e.connectFails(ctx, dst, syscall.ECONNREFUSED); err != nil {
			return fmt.Errorf("a server that knows plain TCP only: %w", err)
		}
	}
	return within(ctx, func() error {
		for _, one := range refused.of("flow.refused", "") {
			if strings.Contains(one.Detail, "plain TCP only") {
				return nil
			}
		}
		return errors.New("no event says why the flow was refused")
	})
}
