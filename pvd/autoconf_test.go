package pvd

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestTheTwoHourRule is RFC 4862 5.5.3 e, case by case.
func TestTheTwoHourRule(t *testing.T) {
	at := time.Now()
	in := func(d time.Duration) time.Time {
		if d < 0 { // for good
			return time.Time{}
		}
		return at.Add(d)
	}
	const forever, h = -1, time.Hour
	for _, tt := range []struct{ was, said, want time.Duration }{
		{24 * h, 48 * h, 48 * h},
		{24 * h, 3 * h, 3 * h}, // more than two hours, although less than it has
		{24 * h, 2 * h, 2 * h},
		{24 * h, h, 2 * h},
		{24 * h, 0, 2 * h},
		{forever, 0, 2 * h},
		{forever, 24 * h, 24 * h},
		{2 * h, h, 2 * h},
		{h, 0, h},
		{h, h / 2, h},
		{h, 90 * time.Minute, 90 * time.Minute}, // more than it has
		{h, forever, forever},
	} {
		if got := extended(in(tt.was), in(tt.said), at); !got.Equal(in(tt.want)) {
			t.Errorf("%v left and %v said: %v, want %v", tt.was, tt.said, got.Sub(at), tt.want)
		}
	}
}

// nestedPrefix is an advertisement of a prefix inside a PvD option.
func nestedPrefix(valid, preferred time.Duration) Report {
	r := ra("id", "isp.example", "pio", "2001:db8:f00d::/64")
	r.RA.Nested.Prefixes = []netip.Prefix{netip.MustParsePrefix("2001:db8:f00d::/64")}
	r.Adverts[0].Until, r.Adverts[0].Preferred = r.Received.Add(valid), r.Received.Add(preferred)
	return r
}

func TestAWithdrawnNestedPrefixKeepsItsAddressForTwoHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(kernel).link(2, "eth0").addr(2, "fe80::10/64", "host").addr(2, "2001:db8:f00d::10/64")
		b := NewBuilder(usual())
		domain := func() *Domain { return b.Build(k.State, Inputs{}).ByName("isp.example") }
		domain()
		b.Learn(nestedPrefix(24*time.Hour, 12*time.Hour))
		if d := domain(); d.State != Online || len(d.Wanted) != 1 || !d.Wanted[0].Valid.Equal(time.Now().Add(24*time.Hour)) {
			t.Fatalf("%s wants %+v", describe(d), d.Wanted)
		}
		time.Sleep(time.Hour)
		b.Learn(nestedPrefix(0, 0))
		d := domain()
		two := time.Now().Add(2 * time.Hour)
		if len(d.Wanted) != 1 || !d.Wanted[0].Valid.Equal(two) || !d.Wanted[0].Preferred.Equal(time.Now()) || len(d.Adverts) != 0 {
			t.Fatalf("withdrawn: it wants %+v, has %+v", d.Wanted, d.Adverts)
		}
		if d.State != Online || !d.Owns(netip.MustParseAddr("2001:db8:f00d::10")) {
			t.Errorf("the address is still the domain's: %s", describe(d))
		}
		if at, ok := b.Deadline(); !ok || at.After(two) {
			t.Errorf("it is to be looked at again at %v", at)
		}
		time.Sleep(time.Hour)
		b.Learn(nestedPrefix(0, 0)) // ever again does not extend it
		if d := domain(); !d.Wanted[0].Valid.Equal(two) {
			t.Errorf("withdrawn twice: %+v", d.Wanted)
		}
		time.Sleep(time.Hour + time.Second)
		k.Addresses = k.Addresses[:1]
		if d := domain(); d != nil && len(d.Wanted) > 0 {
			t.Errorf("two hours are over: %+v", d.Wanted)
		}
	})
}

func TestANestedPrefixThatWasNeverValidMakesNoAddress(t *testing.T) {
	b := NewBuilder(usual())
	k := new(kernel).link(2, "eth0").addr(2, "fe80::10/64", "host")
	b.Build(k.State, Inputs{})
	b.Learn(nestedPrefix(0, 0))
	for _, d := range b.Build(k.State, Inputs{}).All() {
		if len(d.Wanted) > 0 {
			t.Errorf("%s wants %+v", d.Name, d.Wanted)
		}
	}
}

// TestANestedPrefixMovesWithItsAddress: the last advertisement of a prefix says whose
// it is (RFC 8801 3.4), and one outside the option is the kernel's.
func TestANestedPrefixMovesWithItsAddress(t *testing.T) {
	k := new(kernel).link(2, "eth0").addr(2, "fe80::10/64", "host").addr(2, "2001:db8:f00d::10/64")
	for what, last := range map[string]func() Report{
		"to another domain of the router": func() Report { r := nestedPrefix(time.Hour, time.Hour); r.ID = "other.example"; return r },
		"to another router": func() Report {
			r := nestedPrefix(time.Hour, time.Hour)
			r.ID, r.Sender, r.Adverts[0].Router = "other.example", netip.MustParseAddr("fe80::2"), netip.MustParseAddr("fe80::2")
			return r
		},
		"out of the option": func() Report { return ra("id", "isp.example", "pio", "2001:db8:f00d::/64") },
	} {
		b := NewBuilder(usual())
		b.Build(k.State, Inputs{})
		b.Learn(nestedPrefix(24*time.Hour, 12*time.Hour))
		b.Build(k.State, Inputs{})
		b.Learn(last())
		wanted := 0
		for _, d := range b.Build(k.State, Inputs{}).All() {
			wanted += len(d.Wanted)
			if d.Name == "isp.example" && len(d.Wanted) > 0 {
				t.Errorf("%s: the old domain wants %+v", what, d.Wanted)
			}
		}
		if want := map[bool]int{true: 0, false: 1}[what == "out of the option"]; wanted != want {
			t.Errorf("%s: %d addresses are wanted, want %d", what, wanted, want)
		}
	}
}
