package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// message is what goes to and fro.
const message = "0123456789abcdef0123456789abcde\n"

// ping sends a message on one flow and waits for its echo, over and over.
func ping(ctx context.Context, t Task) (Outcome, error) {
	c, err := net.DialTimeout(t.Network, t.server(0), patience)
	if err != nil {
		return Outcome{}, fmt.Errorf("ping: %w", err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	if t.Network == "tcp" {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := in.ReadString('\n'); err != nil {
			return Outcome{}, fmt.Errorf("greeting: %w", err)
		}
	}
	buf := make([]byte, 2048)
	t.Workers = 1
	return pool(ctx, t, t.Count, func(int) error {
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(c, message); err != nil {
			return err //nolint:wrapcheck // shown as it is
		}
		if t.Network == "tcp" {
			_, err = in.ReadString('\n')
		} else {
			_, err = c.Read(buf)
		}
		return err //nolint:wrapcheck // shown as it is
	}), nil
}
