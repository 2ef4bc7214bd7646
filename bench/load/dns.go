package load

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

// queries asks a resolver for names that differ, each worker by a socket of its
// own; an answer of any code counts.
func queries(ctx context.Context, t Task) (Outcome, error) {
	flows := make(chan net.Conn, t.Workers)
	for range t.Workers {
		c, err := net.DialTimeout("udp", t.server(0), patience)
		if err != nil {
			return Outcome{}, fmt.Errorf("ask: %w", err)
		}
		defer c.Close()
		flows <- c
	}
	return pool(ctx, t, t.Count, func(i int) error {
		c := <-flows
		defer func() { flows <- c }()
		conn := dns.Conn{Conn: c}
		_ = c.SetDeadline(time.Now().Add(patience))
		q := new(dns.Msg).SetQuestion(fmt.Sprintf("n%d.example.net.", i), dns.TypeA)
		if err := conn.WriteMsg(q); err != nil {
			return err //nolint:wrapcheck // shown as it is
		}
		for {
			a, err := conn.ReadMsg()
			if err != nil {
				return err //nolint:wrapcheck // shown as it is
			}
			if a.Id == q.Id {
				return nil
			}
		}
	}), nil
}
