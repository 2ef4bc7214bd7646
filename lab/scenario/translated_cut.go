package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// cutOnTheWay has servers let routers cut their segments, as those behind some
// tunnels do, and n1 do so.
func cutOnTheWay(e *Env) error {
	return errors.Join(summed(e), e.Core.SetSysctl("net/ipv4/ip_no_pmtu_disc", "1"), e.Node("n1").SetMTU("lan", 1300))
}

// comesInPieces downloads what is cut.
func comesInPieces(ctx context.Context, e *Env) error {
	l, err := e.Core.ListenTCP(public4(portOwn))
	if err != nil {
		return err
	}
	defer l.Close()
	_ = l.SetDeadline(time.Now().Add(2 * answerWithin))
	ctx, cancel := context.WithTimeout(ctx, 2*answerWithin)
	defer cancel()
	for _, e.App = range []*lab.Node{e.Host, e.Client} {
		conn, err := e.App.DialTCP(ctx, public4(portOwn), lab.SocketOptions{})
		if err != nil {
			return err
		}
		defer conn.Close()
		peer, err := l.Accept()
		if err != nil {
			return err
		}
		defer peer.Close()
		const size = 1 << 20
		go func() { _, _ = io.CopyN(peer, &serve.Pattern{}, size) }()
		_ = conn.SetDeadline(time.Now().Add(answerWithin))
		if got, err := io.CopyN(&serve.Pattern{}, conn, size); err != nil {
			return fmt.Errorf("%d of %d bytes came to %s: %w", got, size, e.App.Name, err)
		}
	}
	for _, n := range []*lab.Node{e.Host, e.Client} {
		if err := noWrongSums(n); err != nil {
			return err
		}
	}
	content, err := e.Node("n1").ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		return err
	}
	if slices.Contains(byName(string(content)), "Ip:FragOKs 0") {
		return errors.New("nothing came in pieces")
	}
	return nil
}
