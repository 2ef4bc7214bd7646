package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// conns opens connections, reads the server's greeting and ends each in the
// order the task says.
func conns(ctx context.Context, t Task) Outcome {
	dialer := net.Dialer{Timeout: patience, KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	return pool(ctx, t, t.Count, func(i int) error {
		c, err := dialer.DialContext(ctx, "tcp", t.server(i))
		if err != nil {
			return err //nolint:wrapcheck // shown as it is
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		in := bufio.NewReaderSize(c, 128)
		if _, err := in.ReadString('\n'); err != nil {
			return fmt.Errorf("greeting: %w", err)
		}
		switch t.Close {
		case "server":
			if _, err := in.ReadByte(); err != io.EOF {
				return fmt.Errorf("the server closes: %w", err)
			}
		case "reset":
			return c.(*net.TCPConn).SetLinger(0) //nolint:wrapcheck // shown as it is
		}
		return nil
	})
}
