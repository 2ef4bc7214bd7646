package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// multipathRow is RFC 6418 3.8-5: a session outlives the failure of its path. The
// app is of plain TCP and knows nothing of it.
func multipathRow() Scenario {
	return Scenario{
		ID: "3.8-5", Title: "a transfer goes on when its network dies, if the server knows Multipath TCP; if not its app is told at once",
		Layout: bothSlow, Config: resilient, Run: outlives,
	}
}

// resilient asks for Multipath TCP, whose servers are of two ports.
const resilient = `
rules:
  - {name: resilient, match: {port: [7003, 7103, 7200, 7201]}, prefer: [e1, e2], mptcp: auto}
`

const multipathSource = lab.PortMultipath + 1

// bothSlow has both networks at 40 Mbit/s, so that a transfer takes its time.
func bothSlow() lab.Layout { return behind(slow(), slow()) }

func outlives(ctx context.Context, e *Env) error {
	const size = 24 << 20
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	for _, server := range []netip.Addr{lab.Public4(), lab.Public6()} {
		long, err := e.begin(ctx, netip.AddrPortFrom(server, multipathSource), size)
		if err != nil {
			return err
		}
		defer long.Close()
		plain, err := e.begin(ctx, netip.AddrPortFrom(server, firstE1Source), size)
		if err != nil {
			return err
		}
		defer plain.Close()
		if err := long.take(size / 6); err != nil {
			return err
		}
		elsewhere, err := e.Host.Capture("e2", ports(multipathSource))
		if err != nil {
			return err
		}
		defer elsewhere.Close()
		if err := e.Unplug("n1"); err != nil {
			return err
		}
		if err := plain.told(); err != nil {
			return fmt.Errorf("the app of a server of plain TCP: %w", err)
		}
		if err := long.take(size - size/6); err != nil {
			return fmt.Errorf("the transfer of %v did not go on: %w", server, err)
		}
		if len(elsewhere.Records()) == 0 {
			return errors.New("nothing of the transfer was seen on the other network")
		}
		if err := e.Plug("n1"); err != nil {
			return err
		}
		if err := within(ctx, func() error { return e.Carried(ctx, "n1", netip.AddrPortFrom(server, firstE1), lab.SocketOptions{}) }); err != nil {
			return fmt.Errorf("after the cable is back: %w", err)
		}
	}
	return nil
}

// transfer is a download whose every byte is checked.
type transfer struct {
	conn interface {
		io.ReadCloser
		SetReadDeadline(t time.Time) error
	}
	check serve.Pattern
}

// begin asks a server for so many bytes.
func (e *Env) begin(ctx context.Context, dst netip.AddrPort, size int) (*transfer, error) {
	conn, err := e.Host.DialTCP(ctx, dst, lab.SocketOptions{})
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	_, err = fmt.Fprintf(conn, "%d\n", size)
	return &transfer{conn: conn}, err
}

func (t *transfer) Close() error { return t.conn.Close() }

// take reads n more bytes.
func (t *transfer) take(n int64) error {
	got, err := io.CopyN(&t.check, t.conn, n)
	if err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", got, n, err)
	}
	return nil
}

// told returns when the app hears that the connection is reset.
func (t *transfer) told() error {
	_ = t.conn.SetReadDeadline(time.Now().Add(endWithin))
	if _, err := io.Copy(&t.check, t.conn); !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("it is not told that it was reset: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	return nil
}
