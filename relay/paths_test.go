package relay

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"

	"mifvif/nat"
	"mifvif/pvd"
	"mifvif/scheduler"
)

// TestAFlowShowsItsPathWhenItEnds: one that has carried something is asked by whom
// it was closed, one that has not says no more than its connect.
func TestAFlowShowsItsPathWhenItEnds(t *testing.T) {
	dst, d := netip.MustParseAddr("192.0.2.80"), &pvd.Domain{Slot: 3, Attached: 7}
	for what, c := range map[string]struct {
		up, down int
		samples  int
		rate     bool
	}{
		"a request":   {up: 100, down: 1000},
		"a download":  {up: 100, down: 2 * telling, samples: 1},
		"an upload":   {up: 16 * telling, samples: 1, rate: true},
		"hardly less": {up: telling / 2, down: telling/2 - 8},
	} {
		t.Run(what, func(t *testing.T) {
			dial, far := listen(t)
			up, err := dial(context.Background(), "")
			check(t, err)
			peer := <-far
			defer peer.Close()
			exchange(t, up, peer, c.up)
			exchange(t, peer, up, c.down)
			s := scheduler.New(scheduler.Config{Source: nat.SelectSource})
			p := &parting{up, s, &entry{rec: Record{Domain: d}, to: dst}, carried{uint64(c.up), uint64(c.down)}}
			check(t, p.Close())
			got, ok := s.Way(d.Key(), dst)
			if got.Samples != c.samples || ok != (c.samples > 0) || (got.Rate > 0) != c.rate || ok && got.RTT <= 0 {
				t.Errorf("the path is %+v, want %d samples, and a rate: %v", got, c.samples, c.rate)
			}
			if _, err := up.Write([]byte("x")); err == nil {
				t.Error("the socket is still open")
			}
		})
	}
}

// carried is what an app's side has sent and got.
type carried struct{ tx, rx uint64 }

func (c carried) Counters() (tx, rx uint64) { return c.tx, c.rx }

// exchange sends n bytes and waits until they are there.
func exchange(t *testing.T, from, to net.Conn, n int) {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := from.Write(make([]byte, n))
		sent <- err
	}()
	_, err := io.CopyN(io.Discard, to, int64(n))
	check(t, err)
	check(t, <-sent)
}
