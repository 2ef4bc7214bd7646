package nat

import (
	"net/netip"
	"testing"
	"time"

	"mifvif/pvd"
)

// TestWhatABindingWasIsToldOnceItEnds: however it ends, each binding is told of
// once, with what it carried.
func TestWhatABindingWasIsToldOnceItEnds(t *testing.T) {
	var told []Record
	table, out, _ := newTable(t, Config{Max: 10, PerSource: 1, Ended: func(r Record) { told = append(told, r) }})
	server := echo(t, "127.0.0.1")
	ends := []struct {
		what string
		end  func()
	}{
		{"idle", func() {
			table.now = func() time.Time { return time.Now().Add(time.Hour) }
			table.sweep()
			table.now = time.Now
		}},
		{"its domain is gone", func() { table.Retire(func(pvd.Key, netip.Addr) bool { return false }) }},
		{"moved", func() { table.Move(map[uint64]bool{3: true}, MovedRecovery) }},
	}
	for n, c := range ends {
		send(t, table, domain(7), app, server, "hello")
		out.next(t)
		table.Retire(func(pvd.Key, netip.Addr) bool { return true }) // ends nothing
		if len(told) != n {
			t.Fatalf("%s: told of %d before the end, want %d", c.what, len(told), n)
		}
		c.end()
		if len(told) != n+1 {
			t.Fatalf("%s: told of %d, want %d", c.what, len(told), n+1)
		}
		r := told[n]
		if r.ID != uint64(n+1) || r.Domain.Name != "d7" || r.Flow.Src != app || r.Flow.Dst != server || r.TxBytes == 0 || r.RxBytes == 0 || !r.Source.IsValid() {
			t.Errorf("%s: told of %+v", c.what, r)
		}
	}
}
