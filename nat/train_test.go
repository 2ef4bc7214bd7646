package nat

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"mifvif/flow"
	"mifvif/packet"
	"mifvif/tun"
)

// TestTrainsLoseNothing hands bursts that look alike, differ, or came as one to
// an app and compares every datagram it gets with what was sent.
func TestTrainsLoseNothing(t *testing.T) {
	t.Run("bursts", func(t *testing.T) { carryTrains(t, false) })
	t.Run("no bursts", func(t *testing.T) { carryTrains(t, true) })
}

func carryTrains(t *testing.T, single bool) {
	t.Helper()
	table, out, _ := newTable(t, Config{Max: 10, PerSource: 1})
	out.single = single
	r := rand.New(rand.NewPCG(1, 2))
	peers := []netip.AddrPort{netip.MustParseAddrPort("203.0.113.80:7"), netip.MustParseAddrPort("203.0.113.81:7")}
	b := &binding{table: table, app: appKey{flow.UDP, app}}
	for round := range 300 {
		var arrivals []arrival
		var want [][]byte
		size := 1 + r.IntN(1400)
		for range 1 + r.IntN(maxArrivals) {
			a := arrival{from: peers[0], ttl: 60, tos: 0xb8}
			n := size
			switch r.IntN(8) {
			case 0:
				n = r.IntN(1400) // also 0
			case 1:
				a.ttl = 59
			case 2:
				a.from = peers[1]
			case 3: // several as one
				a.segment, n = size, size*(1+r.IntN(5))+r.IntN(size)
			}
			a.data = make([]byte, n)
			for i := range a.data {
				a.data[i] = byte(r.Uint32())
			}
			arrivals = append(arrivals, a)
			for rest := a.data; ; {
				one := len(rest)
				if a.segment > 0 {
					one = min(a.segment, one)
				}
				want = append(want, whole(a, rest[:one]))
				if rest = rest[one:]; len(rest) == 0 {
					break
				}
			}
		}
		b.arrived(arrivals)
		for n, w := range want {
			_, got := out.next(t)
			packet.Rewrite(got, 0, 4, 10, 0) // each has a number of its own
			if !bytes.Equal(got, w) {
				t.Fatalf("round %d, datagram %d of %d:\n got %x\nwant %x", round, n, len(want), got, w)
			}
		}
	}
}

// whole is the packet that an app gets for one datagram.
func whole(a arrival, payload []byte) []byte {
	i := packet.Info{Src: a.from.Addr(), Dst: app.Addr(), SrcPort: a.from.Port(), DstPort: app.Port(), TTL: a.ttl, TOS: a.tos}
	p := append(packet.AppendUDP(nil, i, len(payload)), payload...)
	packet.FinishUDP(p, packet.IPv4HeaderLen)
	return p
}

// TestSuperPacketsOfTheApps sends what segmentation offload hands us: more
// datagrams than one send takes, and a short last one.
func TestSuperPacketsOfTheApps(t *testing.T) {
	table, out, _ := newTable(t, Config{Max: 10, PerSource: 1})
	server := echo(t, "127.0.0.1")
	send(t, table, domain(0), app, server, "x")
	out.next(t)
	for _, c := range []struct{ size, payload, want int }{
		{500, 500 * 128, 128},
		{500, 500*70 + 1, 71},
		{1400, 1400*46 + 3, 47},
		{1, 100, 100},
		{1400, 1400, 1},
		{65535, 1400, 1},
	} {
		p := append(packet.AppendUDP(nil, packet.Info{
			Src: app.Addr(), Dst: server.Addr(), SrcPort: app.Port(), DstPort: server.Port(), TTL: 64,
		}, c.payload), make([]byte, c.payload)...)
		i, err := packet.Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		h := tun.Header{NeedsChecksum: true, GSOType: tun.GSOUDPL4, GSOSize: uint16(c.size), HeaderLen: 28}
		if !table.Forward(h, &i, p, false) {
			t.Fatal("no binding")
		}
		table.Flush()
		for n := range c.want { // the echo answers each datagram
			if i, _ := out.next(t); i.SrcPort != server.Port() {
				t.Fatalf("%+v: answer %d is %+v", c, n, i)
			}
		}
	}
	if table.Stats()["too_big"]+table.Stats()["uplink_queue_full"]+table.Stats()["unreachable"] > 0 {
		t.Errorf("not all was carried: %v", table.Stats())
	}
}

func BenchmarkTrain(b *testing.B) {
	for _, size := range payloads() {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			table := &Table{out: nowhere{}, inbox: newInbox()}
			bind := &binding{table: table, app: appKey{flow.UDP, app}}
			arrivals := make([]arrival, maxArrivals)
			for i := range arrivals {
				arrivals[i] = arrival{from: netip.MustParseAddrPort("203.0.113.80:7"), ttl: 64, data: make([]byte, size)}
			}
			b.SetBytes(int64(size * maxArrivals))
			b.ReportAllocs()
			for b.Loop() {
				bind.arrived(arrivals)
			}
		})
	}
}

// nowhere takes what is written.
type nowhere struct{}

func (nowhere) Write(tun.Header, ...[]byte) error { return nil }
