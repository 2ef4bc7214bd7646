package ra

import (
	"net/netip"
	"testing"
	"time"
)

// router makes a link-local address.
func routerAt(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
}

// TestAFloodOfStrangersLeavesTheLinksOwnRoutersTheirs sends a thousand messages a
// second for a minute, each from another router, and one every three seconds from
// two that were there before.
func TestAFloodOfStrangersLeavesTheLinksOwnRoutersTheirs(t *testing.T) {
	table := newRouters()
	own := []netip.Addr{netip.MustParseAddr("fe80::1:a"), netip.MustParseAddr("fe80::1:b")}
	now := at
	for range 2 { // some time before the flood
		for _, a := range own {
			if !table.allow(a, now) {
				t.Fatal("an ordinary router is not heard")
			}
		}
		now = now.Add(3 * time.Second)
	}
	passed := 0
	for i := range 60_000 {
		now = now.Add(time.Millisecond)
		if table.allow(routerAt(i), now) {
			passed++
		}
		if i%3000 != 0 {
			continue
		}
		for _, a := range own {
			if !table.allow(a, now) {
				t.Fatalf("after %d messages of others the link's own router %v is not heard", i, a)
			}
		}
	}
	if most := strangerBurst + 61; passed > most {
		t.Errorf("%d messages of strangers passed, want at most %d", passed, most)
	}
	if len(table.known) > maxRouters || table.evicted == 0 {
		t.Errorf("%d routers are known, %d were evicted; want at most %d, and some", len(table.known), table.evicted, maxRouters)
	}
}

// TestOneRouterMaySpeakSoOften lets a router say one thing in parts, and no more.
func TestOneRouterMaySpeakSoOften(t *testing.T) {
	table, now, passed := newRouters(), at, 0
	for i := range 60_000 {
		if table.allow(routerAt(1), now) {
			passed++
		}
		if i < routerBurst && passed != i+1 {
			t.Fatalf("part %d of an advertisement is not heard", i+1)
		}
		now = now.Add(time.Millisecond)
	}
	if most := routerBurst + 31; passed > most {
		t.Errorf("%d messages passed in a minute, want at most %d", passed, most)
	}
}
