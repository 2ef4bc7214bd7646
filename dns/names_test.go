package dns

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func learned(app, name, addr string, ttl time.Duration) Learned {
	return Learned{
		App: netip.AddrPortFrom(netip.MustParseAddr(app), 1), Name: name, TTL: ttl,
		Addrs: []netip.Addr{netip.MustParseAddr(addr)},
	}
}

func TestNamesAreRememberedPerAppForTheirTime(t *testing.T) {
	now := time.Unix(1000, 0)
	n := NewNames(NamesConfig{Max: 10, PerApp: 1})
	n.now = func() time.Time { return now }
	n.Learn(learned("10.0.0.1", "a.example", "192.0.2.1", 30*time.Second))
	n.Learn(learned("10.0.0.2", "b.example", "192.0.2.1", time.Hour))
	look := func(app string) string {
		b, _ := n.Lookup(netip.MustParseAddr(app), netip.MustParseAddr("::ffff:192.0.2.1"))
		return b.Name
	}
	if look("10.0.0.1") != "a.example" || look("10.0.0.2") != "b.example" || look("10.0.0.3") != "" {
		t.Error("apps must see their own answers only")
	}
	now = now.Add(89 * time.Second)
	if look("10.0.0.1") != "a.example" {
		t.Error("a name must outlive its TTL by the grace")
	}
	now = now.Add(2 * time.Second)
	if look("10.0.0.1") != "" || n.Len() != 1 {
		t.Error("a name must go when its time is over")
	}
	n.Learn(learned("10.0.0.2", "c.example", "192.0.2.1", time.Hour))
	if look("10.0.0.2") != "c.example" || n.Len() != 1 {
		t.Error("the latest answer must win")
	}
}

func TestNamesAreBounded(t *testing.T) {
	n := NewNames(NamesConfig{Max: 100, PerApp: 0.5})
	addr := func(i int) string { return fmt.Sprintf("192.0.2.%d", i) }
	n.Learn(learned("10.0.0.1", "early", addr(0), time.Hour))
	for i := range 200 {
		n.Learn(learned("10.0.0.2", "flood", addr(i), time.Hour))
	}
	if n.Len() != 51 || n.Evicted() != 150 {
		t.Errorf("%d pairs, %d evicted, want 51 and 150: one app may hold half", n.Len(), n.Evicted())
	}
	if _, ok := n.Lookup(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr(addr(0))); !ok {
		t.Error("one app's flood must not push out another's names")
	}
	for i := range 200 {
		n.Learn(learned(fmt.Sprintf("10.1.0.%d", i), "x", addr(i), time.Hour))
	}
	if n.Len() != 100 || len(n.entries) != 100 || len(n.apps) != 100 {
		t.Errorf("%d pairs of %d apps, want 100 of 100: all apps together have a bound", n.Len(), len(n.apps))
	}
}

func TestNamesOfOneHost(t *testing.T) {
	n := NewNames(NamesConfig{Max: 10, PerApp: 1, App: func(netip.Addr) netip.Addr { return netip.Addr{} }})
	n.Learn(learned("198.18.0.1", "a.example", "2001:db8::1", time.Hour))
	if b, ok := n.Lookup(netip.MustParseAddr("2001:2::1"), netip.MustParseAddr("2001:db8::1")); !ok || b.Name != "a.example" {
		t.Error("an app that asks over IPv4 and connects over IPv6 is one app")
	}
}

func TestNamesThatEvictTheirOnlyEntry(t *testing.T) {
	n := NewNames(NamesConfig{}) // one pair in all
	for i := range 3 {
		n.Learn(learned("10.0.0.1", "a", fmt.Sprintf("192.0.2.%d", i), time.Hour))
		n.Learn(learned("10.0.0.2", "b", fmt.Sprintf("192.0.2.%d", i), time.Hour))
	}
	if n.Len() != 1 || len(n.apps) != 1 {
		t.Errorf("%d pairs of %d apps, want 1 of 1", n.Len(), len(n.apps))
	}
}

func TestNamesOfAnAppAreForgotten(t *testing.T) {
	n := NewNames(NamesConfig{Max: 10, PerApp: 1})
	for _, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
		n.Learn(learned("10.0.0.1", "a.example", addr, time.Hour))
	}
	n.Learn(learned("10.0.0.2", "b.example", "192.0.2.1", time.Hour))
	n.Forget(netip.MustParseAddr("10.0.0.1"))
	n.Forget(netip.MustParseAddr("10.0.0.9"))
	_, gone := n.Lookup(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.1"))
	_, kept := n.Lookup(netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("192.0.2.1"))
	if gone || !kept || n.Len() != 1 || len(n.apps) != 1 {
		t.Errorf("forgotten %v, the other's kept %v, %d pairs of %d apps, want 1 of 1", !gone, kept, n.Len(), len(n.apps))
	}
}
