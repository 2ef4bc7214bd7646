package scenario

import (
	"context"
	"fmt"
	"net"
	"os/exec"

	"mifvif/lab"
)

// shortcuts has datagrams translated by the kernel: the socket keeps its public
// address, errors of the path reach it, and it goes on elsewhere when its network dies.
func shortcuts(ctx context.Context, e *Env) error {
	for _, dst := range bothFamilies(firstE1) {
		back := func() error { return e.Carried(ctx, "n1", dst, lab.SocketOptions{}) }
		if err := within(ctx, back); err != nil { // after the family before
			return err
		}
		open, err := e.sockets(lab.SocketOptions{}, 1, "n1", dst)
		if err != nil {
			return err
		}
		defer closeSockets(open)
		s := open[0]
		err = steps(
			func() error { return s.converse() },
			func() error { return e.shortened(ctx, open[0].conn, true) },
			func() error { return s.converse() },
			func() error { return e.LinkDown("n1") },
			func() error { return within(ctx, func() error { return e.isOffline(ctx, "e1") }) },
			func() error { return s.by("n2") },
			func() error { return e.LinkUp("n1") },
			func() error { return within(ctx, back) },
		)
		if err != nil {
			return fmt.Errorf("UDP to %v: %w", dst, err)
		}
	}
	return e.pastIPsec(ctx)
}

// isOffline wants a domain to be known as offline.
func (e *Env) isOffline(ctx context.Context, domain string) error {
	all, err := e.domains(ctx)
	if err == nil && all[domain].State != "offline" {
		err = fmt.Errorf("%s is %s", domain, all[domain].State)
	}
	return err
}

// converse asks more often than a shortcut takes; the peer sees the socket where it
// has always been.
func (s *Socket) converse() error {
	for range 40 {
		if err := s.Say(); err != nil {
			return err
		}
	}
	return nil
}

// shortened wants a socket's datagrams to be listed as translated by the kernel, or
// as carried.
func (e *Env) shortened(ctx context.Context, conn *net.UDPConn, want bool) error {
	var all []listing
	if err := e.JSON(ctx, &all, "flows"); err != nil {
		return err
	}
	own := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	for _, f := range all {
		if f.Proto == "udp" && f.Src.Port() == own && (f.Path == "offloaded") == want && f.Tx > 0 {
			return nil
		}
	}
	return fmt.Errorf("the datagrams of port %d are not listed with offloaded %v: %+v", own, want, all)
}

// pastIPsec wants nothing to be translated while the host has a policy of IPsec, be
// it about whom it may: the kernel would encrypt what is not translated.
func (e *Env) pastIPsec(ctx context.Context) error {
	dst := public4(firstE1)
	open, err := e.sockets(lab.SocketOptions{}, 1, "n1", dst)
	if err != nil {
		return err
	}
	defer closeSockets(open)
	policy := func(what string) error {
		return e.Host.Do(func() error {
			out, err := exec.Command("ip", "xfrm", "policy", what, "dir", "out", "src", "192.0.2.77/32", "dst", "192.0.2.78/32").CombinedOutput()
			if err != nil {
				err = fmt.Errorf("ip xfrm policy %s: %w: %s", what, err, out)
			}
			return err
		})
	}
	return steps(
		func() error { return open[0].converse() },
		func() error { return e.shortened(ctx, open[0].conn, true) },
		func() error { return e.goes(ctx, "terminated", "n1", dst) }, // the way is known now
		func() error { return e.goes(ctx, "offloaded", "n1", dst) },
		func() error { return policy("add") },
		func() error { return within(ctx, func() error { return e.shortened(ctx, open[0].conn, false) }) },
		func() error { return open[0].converse() },
		func() error { return e.shortened(ctx, open[0].conn, false) },
		func() error { return e.goes(ctx, "terminated", "n1", dst) },
		func() error { return policy("delete") },
		func() error {
			return within(ctx, func() error { return e.goes(ctx, "offloaded", "n1", dst) })
		},
	)
}
