package lab_test

import (
	"net/netip"
	"testing"
	"time"

	"mifvif/lab"
)

// echoes sends datagrams one by one and returns how many came back and the
// shortest round trip.
func echoes(t *testing.T, c *lab.Common, count int, patience time.Duration) (answered int, best time.Duration) {
	t.Helper()
	conn, err := c.Host.DialUDP(netip.AddrPortFrom(lab.Public4(), lab.PortEcho), lab.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	best = time.Hour
	buf := make([]byte, 2000)
	for range count {
		start := time.Now()
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(start.Add(patience))
		if _, err := conn.Read(buf); err == nil {
			answered++
			best = min(best, time.Since(start))
		}
	}
	return answered, best
}

func wired(config lab.WireConfig) lab.Layout {
	l := lab.TwoNetworks()
	l.Networks[0].Impairment = &config
	return l
}

func TestWireDelaysBothWays(t *testing.T) {
	c := newCommon(t, wired(lab.WireConfig{Delay: 30 * time.Millisecond}))
	answered, best := echoes(t, c, 3, 5*time.Second)
	if answered != 3 || best < 60*time.Millisecond {
		t.Errorf("%d of 3 answered, shortest round trip %v, want all and at least 60 ms", answered, best)
	}
}

func TestWireLosesItsShareAndCanFallSilent(t *testing.T) {
	c := newCommon(t, wired(lab.WireConfig{Seed: 7}))
	if answered, _ := echoes(t, c, 1, 5*time.Second); answered != 1 {
		t.Fatal("a perfect wire did not carry")
	}
	c.Wire("n1").SetLoss(0.3)
	if answered, _ := echoes(t, c, 60, 50*time.Millisecond); answered < 5 || answered > 55 {
		t.Errorf("%d of 60 answered over two times 30 %% loss, want about 29", answered)
	}
	c.Wire("n1").SetLoss(1)
	if answered, _ := echoes(t, c, 3, 50*time.Millisecond); answered != 0 {
		t.Errorf("%d answered over a silent wire", answered)
	}
	if s := c.Wire("n1").Stats(); s.Lost == 0 || s.Carried == 0 {
		t.Errorf("stats %+v, want both counted", s)
	}
}

func TestWirePaces(t *testing.T) {
	c := newCommon(t, wired(lab.WireConfig{Rate: 4_000_000}))
	start := time.Now()
	if got := fetch(t, c, 500_000); got != 500_000 {
		t.Fatalf("got %d bytes", got)
	}
	// 500 kB at 4 Mbit/s are one second; nothing makes it quicker.
	if took := time.Since(start); took < 900*time.Millisecond {
		t.Errorf("500 kB took %v at 4 Mbit/s, want a second", took)
	}
}

func TestPointToPointWireHasNoLinkLayer(t *testing.T) {
	c := newCommon(t, wired(lab.WireConfig{PointToPoint: true}))
	if answered, _ := echoes(t, c, 1, 5*time.Second); answered != 1 {
		t.Fatal("no answer over a point-to-point wire")
	}
	l, err := c.Host.Netlink().LinkByName("e1")
	if err != nil {
		t.Fatal(err)
	}
	if mac := l.Attrs().HardwareAddr; len(mac) != 0 {
		t.Errorf("it has the MAC address %v", mac)
	}
}

func TestWireCarrier(t *testing.T) {
	c := newCommon(t, wired(lab.WireConfig{}))
	running := func() bool {
		l, err := c.Host.Netlink().LinkByName("e1")
		if err != nil {
			t.Fatal(err)
		}
		return l.Attrs().RawFlags&0x10000 != 0 // IFF_LOWER_UP
	}
	for _, on := range []bool{false, true} {
		set := c.Plug
		if !on {
			set = c.Unplug
		}
		if err := set("n1"); err != nil {
			t.Fatal(err)
		}
		if running() != on {
			t.Errorf("carrier is %v, want %v", running(), on)
		}
	}
}
