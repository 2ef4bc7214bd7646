package nat

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/packet"
	"mifvif/tun"
)

// BenchmarkFind looks bindings up among one, a thousand and a hundred thousand.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1, 1_000, 100_000} {
		for name, src := range map[string]string{"v4": "198.18.0.1", "v6": "2001:2::1"} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				table, err := New(Config{Max: n, PerSource: 1}, nowhere{}, &loopback{}, slog.New(slog.DiscardHandler))
				if err != nil {
					b.Fatal(err)
				}
				defer table.poller.Close()
				app := netip.MustParseAddr(src)
				port := func(i int) netip.AddrPort { return netip.AddrPortFrom(app, uint16(i%n)) }
				for i := range n { // more than ports: the rest differ in their address
					at := port(i)
					if i > 0xffff {
						at = netip.AddrPortFrom(app.Next(), uint16(i))
					}
					table.byApp[appKey{flow.UDP, at}] = &binding{table: table}
				}
				info := packet.Info{Src: app, Dst: app, Proto: uint8(flow.UDP)}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					info.SrcPort = port(i).Port()
					if table.find(&info, false) == nil {
						b.Fatal("no binding")
					}
				}
			})
		}
	}
}

// FuzzForward hands packets with headers of any kind to a table that has their
// binding: what leaves goes to a port of the loopback that nobody has.
func FuzzForward(f *testing.F) {
	for _, seed := range []struct {
		segment uint16
		payload int
	}{{0, 10}, {1, 200}, {500, 1300}, {65535, 10}, {1200, 12001}} {
		f.Add(seed.segment, true, uint8(tun.GSOUDPL4), make([]byte, seed.payload))
	}
	table, err := New(Config{Max: 8, PerSource: 1}, nowhere{}, &loopback{}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	defer table.poller.Close()
	defer table.close()
	dst := netip.MustParseAddrPort("127.0.0.1:9")
	if err := table.Bind(flow.Flow{Proto: flow.UDP, Src: app, Dst: dst}, Choice{Domain: domain(0), Source: netip.MustParseAddr("127.0.0.1")}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, segment uint16, partial bool, gso uint8, payload []byte) {
		if len(payload) > 65000 {
			return
		}
		i := packet.Info{Src: app.Addr(), Dst: dst.Addr(), SrcPort: app.Port(), DstPort: dst.Port(), TTL: 64}
		b := append(packet.AppendUDP(nil, i, len(payload)), payload...)
		h := tun.Header{NeedsChecksum: partial, GSOType: gso, GSOSize: segment, HeaderLen: 28}
		info, err := packet.Parse(b)
		if err != nil || h.Validate(b) != nil {
			return
		}
		if !table.Forward(h, &info, b, false) {
			t.Fatal("the binding is gone")
		}
		table.Flush()
		if e := table.sender.errno; e != 0 && e != unix.ECONNREFUSED && e != unix.EAGAIN {
			t.Fatalf("%d bytes in segments of %d: %v", len(payload), segment, e)
		}
	})
}
