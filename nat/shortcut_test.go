package nat

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"mifvif/flow"
	"mifvif/nat/offload"
	"mifvif/packet"
	"mifvif/pvd"
	"mifvif/tun"
)

// shortened returns a table whose kernel is the test's, with a domain for which
// there may be shortcuts.
func shortened(t *testing.T) (*Table, *ledger, *pvd.Domain) {
	t.Helper()
	k := &ledger{room: 100, flows: make(map[uint64]offload.Flow), passed: make(map[uint64]offload.Traffic)}
	table, _, _ := newTable(t, Config{Max: 10, PerSource: 1, MTU: 1500, Kernel: k})
	d := domain(0)
	d.MTU = 1500
	return table, k, d
}

// talk sends so many datagrams, one by one, by a binding that may have a shortcut.
func talk(t *testing.T, table *Table, d *pvd.Domain, from, to netip.AddrPort, n int) {
	t.Helper()
	for range n {
		b := append(packet.AppendUDP(nil, packet.Info{Src: from.Addr(), Dst: to.Addr(), SrcPort: from.Port(), DstPort: to.Port(), TTL: 9}, 1), 'x')
		i, err := packet.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if !table.Forward(tun.Header{NeedsChecksum: true}, &i, b, false) {
			c := Choice{Domain: d, Source: netip.MustParseAddr("127.0.0.1"), Direct: true}
			if err := table.Bind(flow.Flow{Proto: flow.UDP, Src: from, Dst: to}, c); err != nil {
				t.Fatal(err)
			}
			table.Forward(tun.Header{NeedsChecksum: true}, &i, b, false)
		}
		table.Flush()
	}
}

// one returns the shortcut there is.
func (k *ledger) one(t *testing.T) offload.Flow {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.flows) != 1 {
		t.Fatalf("the kernel translates %v, want one flow", k.flows)
	}
	for _, f := range k.flows {
		return f
	}
	return offload.Flow{}
}

func (k *ledger) none() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.flows) == 0
}

// sink takes datagrams and never answers.
func sink(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.8:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestWhatKeepsGoingToOneDestinationIsTranslated(t *testing.T) {
	table, k, d := shortened(t)
	far, away := sink(t), sink(t)
	talk(t, table, d, app, far, shortcutAfter-1)
	talk(t, table, d, app, away, 1)
	talk(t, table, d, app, far, shortcutAfter-1)
	if !k.none() {
		t.Error("what goes to two in turn is translated")
	}
	talk(t, table, d, app, far, 1)
	f := k.one(t)
	if f.Proto != flow.UDP || f.App != app || f.Dst != far || f.Source.Port() == 0 || f.Mark != d.Mark() || f.ID&shortcutID == 0 {
		t.Errorf("translated is %+v", f)
	}
	if r := table.Flows(); len(r) != 1 || !r[0].Offloaded {
		t.Errorf("listed as %+v", r)
	}
	talk(t, table, d, app, away, shortcutAfter)
	if f := k.one(t); f.Dst != away {
		t.Errorf("after the destination has changed it is %+v", f)
	}
}

func TestWhatPassedByAShortcutIsCounted(t *testing.T) {
	table, k, d := shortened(t)
	talk(t, table, d, app, sink(t), shortcutAfter)
	f := k.one(t)
	k.pass(f.ID, offload.Traffic{Tx: offload.Side{Segments: 5, Bytes: 500, Last: offload.Now()}, Rx: offload.Side{Segments: 7, Bytes: 700}})
	check := func(when string) {
		t.Helper()
		if r := table.Flows()[0]; r.TxBytes != shortcutAfter+500 || r.RxBytes != 700 {
			t.Errorf("%s: %d and %d bytes", when, r.TxBytes, r.RxBytes)
		}
	}
	check("while it lasts")
	set := func(later time.Duration) {
		table.mu.Lock()
		defer table.mu.Unlock()
		table.now = func() time.Time { return time.Now().Add(later) }
	}
	set(shortcutFor + time.Second)
	table.sweep()
	if !k.none() {
		t.Error("a shortcut lasts for ever")
	}
	check("afterwards")
}

func TestABindingLivesAsLongAsItsShortcutIsUsed(t *testing.T) {
	table, k, d := shortened(t)
	talk(t, table, d, app, sink(t), shortcutAfter)
	f := k.one(t)
	later := func(by time.Duration) {
		table.mu.Lock()
		defer table.mu.Unlock()
		table.now = func() time.Time { return time.Now().Add(by) }
	}
	later(udpIdle + time.Minute) // and the kernel's clock, which cannot be set, says "now"
	k.pass(f.ID, offload.Traffic{Tx: offload.Side{Segments: 1, Last: offload.Now()}})
	table.sweep()
	if len(table.Flows()) != 1 {
		t.Fatal("a binding in use was ended")
	}
	later(3 * udpIdle)
	table.sweep()
	if len(table.Flows()) != 0 || !k.none() {
		t.Error("an idle one lives on")
	}
}

func TestAShortcutEndsWithItsBinding(t *testing.T) {
	for name, end := range map[string]func(*Table, *pvd.Domain){
		"its domain": func(table *Table, _ *pvd.Domain) {
			table.Retire(func(pvd.Key, netip.Addr) bool { return false })
		},
		"its app": func(table *Table, _ *pvd.Domain) { table.EndApp(app.Addr()) },
		"its link": func(table *Table, d *pvd.Domain) {
			small := *d
			small.MTU = 1400
			table.Keep(pvd.NewSet([]*pvd.Domain{&small}), false)
		},
		"that it may be": func(table *Table, d *pvd.Domain) {
			table.Keep(pvd.NewSet([]*pvd.Domain{d}), true)
			talk(t, table, d, app, sink(t), 2*shortcutAfter)
		},
	} {
		table, k, d := shortened(t)
		talk(t, table, d, app, sink(t), shortcutAfter)
		k.one(t)
		table.Keep(pvd.NewSet([]*pvd.Domain{d}), false)
		k.one(t)
		if end(table, d); !k.none() {
			t.Errorf("it outlives %s", name)
		}
	}
}

func TestWhatHasNoShortcut(t *testing.T) {
	table, k, d := shortened(t)
	far := sink(t)
	small, p2p := *d, *d
	small.MTU, p2p.P2P, p2p.Slot, small.Slot = 1400, true, 1, 2
	for i, on := range []*pvd.Domain{&small, &p2p} {
		talk(t, table, on, netip.AddrPortFrom(app.Addr(), uint16(100+i)), far, 3*shortcutAfter)
	}
	k.room = 0
	talk(t, table, d, app, far, 3*shortcutAfter)
	if k.room = 100; !k.none() {
		t.Errorf("translated are %v", k.flows)
	}
	talk(t, table, d, app, far, 3*shortcutAfter)
	if !k.none() {
		t.Error("what the kernel has refused is asked for again")
	}
}
