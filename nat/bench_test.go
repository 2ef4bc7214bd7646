package nat

import (
	"fmt"
	"log/slog"
	"net"
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

// way is a family's path over the loopback, with an app's datagrams on it.
type way struct {
	app, loopback netip.Addr
}

// ways are the families by name.
func ways() map[string]way {
	return map[string]way{
		"v4": {app.Addr(), netip.MustParseAddr("127.0.0.1")}, "v6": {netip.MustParseAddr("2001:2::1"), netip.IPv6Loopback()},
	}
}

// datagram is one packet of an app, with what is known of it.
type datagram struct {
	header tun.Header
	info   packet.Info
	data   []byte
}

// datagrams returns one of each of n apps that have bindings, to a port of the
// loopback that takes all and reads nothing. More than what one datagram holds is a
// super-packet.
func (w way) datagrams(tb testing.TB, table *Table, n, payload int) []datagram {
	tb.Helper()
	sink, err := net.ListenPacket("udp", netip.AddrPortFrom(w.loopback, 0).String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { sink.Close() })
	to := sink.LocalAddr().(*net.UDPAddr).AddrPort()
	all := make([]datagram, n)
	for i := range all {
		from := netip.AddrPortFrom(w.app, uint16(1024+i))
		info := packet.Info{Src: from.Addr(), Dst: to.Addr(), SrcPort: from.Port(), DstPort: to.Port(), TTL: 64}
		d := datagram{header: tun.Header{NeedsChecksum: true}, data: append(packet.AppendUDP(nil, info, payload), make([]byte, payload)...)}
		if payload > 1472 {
			d.header.GSOType, d.header.GSOSize = tun.GSOUDPL4, 1400
		}
		if d.info, err = packet.Parse(d.data); err != nil {
			tb.Fatal(err)
		}
		f := flow.Flow{Proto: flow.UDP, Src: from, Dst: to}
		if err := table.Bind(f, Choice{Domain: domain(0), Source: w.loopback}); err != nil {
			tb.Fatal(err)
		}
		all[i] = d
	}
	return all
}

// unrun returns a table whose sockets nobody receives from.
func unrun(tb testing.TB, most int) *Table {
	tb.Helper()
	table, err := New(Config{Max: most, PerSource: 1}, nowhere{}, &loopback{}, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { table.close(); table.poller.Close() })
	return table
}

// payloads are those of the sizes that everything is measured at: packets of 64,
// 576 and 1500 bytes, and a super-packet.
func payloads() []int { return []int{64 - 28, 576 - 28, 1500 - 28, 63_000} }

func TestForwardDoesNotAllocate(t *testing.T) {
	for family, w := range ways() {
		for _, size := range payloads() {
			table := unrun(t, 8)
			d := &w.datagrams(t, table, 1, size)[0]
			if n := testing.AllocsPerRun(200, func() {
				table.Forward(d.header, &d.info, d.data, false)
				table.Flush()
			}); n > 0 {
				t.Errorf("%s, %d bytes: %g allocations per packet", family, size, n)
			}
		}
	}
}

func TestArrivalsDoNotAllocate(t *testing.T) {
	for _, size := range payloads() {
		table := &Table{out: nowhere{}, inbox: newInbox()}
		bind := &binding{table: table, app: appKey{flow.UDP, app}}
		arrivals := []arrival{{from: netip.MustParseAddrPort("203.0.113.80:7"), ttl: 64, data: make([]byte, size)}}
		if n := testing.AllocsPerRun(200, func() { bind.arrived(arrivals) }); n > 0 {
			t.Errorf("%d bytes: %g allocations", size, n)
		}
	}
}

// BenchmarkForward sends packets of one and of a thousand apps, 32 of them at a
// time, as they come out of mif0. What a hundred thousand bindings cost beyond
// that is in BenchmarkFind: they have more sockets than a process may.
func BenchmarkForward(b *testing.B) {
	for family, w := range ways() {
		for _, flows := range []int{1, 1_000} {
			for _, size := range payloads() {
				b.Run(fmt.Sprintf("%s/%d/%d", family, flows, size), func(b *testing.B) {
					table := unrun(b, flows)
					all := w.datagrams(b, table, flows, size)
					b.SetBytes(int64(size))
					b.ReportAllocs()
					for n := 0; b.Loop(); n++ {
						d := &all[n%flows]
						table.Forward(d.header, &d.info, d.data, false)
						if n%32 == 31 {
							table.Flush()
						}
					}
				})
			}
		}
	}
}
