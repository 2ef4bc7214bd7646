package nat

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/pvd"
)

// few opens so many sockets and no more at a time, as a host of few ports.
type few struct {
	loopback
	table *Table
	most  int
	err   error
}

func (o *few) OpenUDP(d *pvd.Domain, src netip.Addr) (int, error) {
	if len(o.table.Flows()) >= o.most {
		return -1, fmt.Errorf("bind: %w", o.err)
	}
	return o.loopback.OpenUDP(d, src)
}

// TestExhaustedHostsMakeRoom: the binding that has been idle for longest goes where
// there is no port or file for another one, and where there is another reason none.
func TestExhaustedHostsMakeRoom(t *testing.T) {
	for _, test := range []struct {
		err  error
		room bool
	}{{unix.EADDRINUSE, true}, {unix.EMFILE, true}, {unix.ENFILE, true}, {unix.ENETUNREACH, false}} {
		out, open := &mif0{packets: make(chan []byte, 16)}, &few{most: 2, err: test.err}
		table, err := New(Config{Max: 100, PerSource: 1}, out, open, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		open.table = table
		bind := func(port uint16) error {
			f := flow.Flow{Proto: flow.UDP, Src: netip.AddrPortFrom(app.Addr(), port), Dst: netip.MustParseAddrPort("127.0.0.1:7")}
			time.Sleep(time.Millisecond) // one is older than the other
			return table.Bind(f, Choice{Domain: domain(0), Source: netip.MustParseAddr("127.0.0.1")})
		}
		for port := range uint16(2) {
			if err := bind(1000 + port); err != nil {
				t.Fatal(err)
			}
		}
		if err := bind(1002); (err == nil) != test.room {
			t.Errorf("where %v: %v", test.err, err)
		}
		first := false
		for _, r := range table.Flows() {
			first = first || r.Flow.Src.Port() == 1000
		}
		if n := len(table.Flows()); n != 2 || first == test.room {
			t.Errorf("where %v: %d bindings, the oldest among them: %t", test.err, n, first)
		}
		table.close()
	}
}
