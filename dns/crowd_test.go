package dns

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"
)

// Ten thousand clients at the same moment: every query is answered or counted as
// turned away, and nothing is left behind.
func TestTenThousandClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients = 10_000
		fiber := domain(1, "fiber", "192.0.2.53")
		w := newWorld(fiber)
		w.at(fiber, 0, after(100*time.Millisecond, func(network string, q *wire.Msg) [][]byte {
			return answers(q.Question[0].Name+" 60 IN A 203.0.113.80")(network, q)
		}))
		names := NewNames(NamesConfig{Max: 1000, PerApp: 1})
		s, stop := start(t, w, func(c *Config) { c.Learned, c.MaxQueries = names.Learn, 4096 })
		defer stop()
		var answered atomic.Int64
		for i := range clients {
			var ip [4]byte
			binary.BigEndian.PutUint32(ip[:], 10<<24+uint32(i))
			b, _ := query(fmt.Sprintf("n%d.example.net.", i%2000), wire.TypeA).Pack()
			s.ServeUDP(b, netip.AddrPortFrom(netip.AddrFrom4(ip), 4000), func([]byte) { answered.Add(1) })
		}
		time.Sleep(10 * time.Second)
		drops := s.Drops()
		if got := answered.Load() + int64(drops["overload"]+drops["per_source"]); got != clients || answered.Load() < 4096 {
			t.Errorf("%d answered, %v turned away, of %d", answered.Load(), drops, clients)
		}
		s.queries.mu.Lock()
		defer s.queries.mu.Unlock()
		if names.Len() > 1000 || s.queries.total != 0 || len(s.queries.held) != 0 {
			t.Errorf("%d names, %d queries of %d clients are left", names.Len(), s.queries.total, len(s.queries.held))
		}
	})
}
