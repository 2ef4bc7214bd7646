package load

import (
	"context"
	"net"
)

// connects opens connections and closes each at once: the time is a connect's.
func connects(ctx context.Context, t Task) Outcome {
	dialer := net.Dialer{Timeout: patience, KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	return pool(ctx, t, t.Count, func(i int) error {
		c, err := dialer.DialContext(ctx, "tcp", t.server(i))
		if err == nil {
			c.Close()
		}
		return err //nolint:wrapcheck // shown as it is
	})
}
