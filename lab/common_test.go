package lab_test

import (
	"bufio"
	"net/netip"
	"testing"
	"time"

	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/lab/serve"
)

func newCommon(t *testing.T, layout lab.Layout) *lab.Common {
	t.Helper()
	labtest.Need(t)
	c, err := lab.NewCommon(layout, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestPlainHostReachesTheCoreByItsFirstNetwork(t *testing.T) {
	c := newCommon(t, lab.TwoNetworks())
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		conn, err := c.Host.DialTCP(t.Context(), netip.AddrPortFrom(dst, lab.PortEcho), lab.SocketOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		src, network, ok := serve.ParseSeen(line)
		if !ok || network != "n1" || c.NetworkOf(src.Addr()) != "n1" {
			t.Errorf("the core saw %q, want a source in n1", line)
		}
	}
}
