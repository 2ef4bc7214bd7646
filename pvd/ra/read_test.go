package ra

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mifvif/netwatch"
	"mifvif/pvd"
)

var (
	comparable = cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	}
	link = netwatch.Link{Index: 7, Name: "e3", MTU: 1500}
	at   = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
)

const (
	// plain is a header and nothing else: lifetime 1800.
	plain = "86000000 40 00 0708 00000000 00000000"
	pvd1  = "1503c001007b0470766431076578616d706c6503636f6d00"
)

func octets(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// heard reads a message that came with a valid IPv6 header.
func heard(source, body string) (pvd.Report, error) {
	return read(message{netip.MustParseAddr(source), 255, octets(body)}, link, at)
}

func after(seconds int) time.Time { return at.Add(time.Duration(seconds) * time.Second) }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// report is what a message with plain's header says.
func report(change func(*pvd.Report)) pvd.Report {
	r := pvd.Report{
		Origin: pvd.FromRA, Ifindex: 7, Sender: netip.MustParseAddr("fe80::1"), Received: at,
		RA: &pvd.Advertisement{Lifetime: 1800 * time.Second, HopLimit: 64},
	}
	if change != nil {
		change(&r)
	}
	return r
}

func resolver(s string, until time.Time) pvd.Resolver {
	return pvd.Resolver{Addr: netip.MustParseAddrPort(s), Origin: pvd.FromRA, Until: until}
}

// TestObjectsOutsideBelongToTheExplicitDomain is vector C5 of the fact sheet.
func TestObjectsOutsideBelongToTheExplicitDomain(t *testing.T) {
	got, err := heard("fe80::1", "8600b137404807080000000000000000"+
		"0101020000000001"+"05010000000005dc"+
		"030440c000278d0000093a800000000020010db8000100000000000000000000"+
		"190300000000070820010db8000100000000000000000053"+pvd1)
	want := report(func(r *pvd.Report) {
		r.ID, r.MTU = "pvd1.example.com", 1500
		r.RA.Other, r.RA.Preference = true, pvd.High
		r.RA.HTTP, r.RA.Legacy, r.RA.Delay, r.RA.Sequence = true, true, 1, 123
		r.Adverts = []pvd.Advert{{
			Prefix: prefix("2001:db8:1::/64"), Router: r.Sender, OnLink: true, Auto: true, Until: after(2592000), Preferred: after(604800),
		}}
		r.Resolvers = []pvd.Resolver{resolver("[2001:db8:1::53]:53", after(1800))}
	})
	if diff := cmp.Diff(want, got, comparable); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestInnerHeaderWinsAndNestedObjectsCount is vector C6.
func TestInnerHeaderWinsAndNestedObjectsCount(t *testing.T) {
	got, err := heard("fe80::2", "86002c9c400000000000000000000000"+
		"0101020000000001"+
		"1514a001007b076578616d706c65036f7267000000000000"+
		"86000000000006400000000000000000"+
		"190300000000070820010db8f00d00000000000000000053"+
		"030440c000015180000038400000000020010db8f00d00000000000000000000"+
		"180230080000070820010db8aaaa0000"+
		"1f0400000000070804636f7270076578616d706c65036f726700000000000000"+
		"260207080064ff9b0000000000000000")
	want := pvd.Report{
		Origin: pvd.FromRA, Ifindex: 7, Sender: netip.MustParseAddr("fe80::2"), Received: at, ID: "example.org",
		RA: &pvd.Advertisement{
			Lifetime: 1600 * time.Second, HopLimit: 64, HTTP: true, Delay: 1, Sequence: 123,
			Nested: pvd.Nested{Header: true, Prefixes: []netip.Prefix{prefix("2001:db8:f00d::/64")}, Routes: []netip.Prefix{prefix("2001:db8:aaaa::/48")}},
		},
		Adverts: []pvd.Advert{{
			Prefix: prefix("2001:db8:f00d::/64"), Router: netip.MustParseAddr("fe80::2"), OnLink: true, Auto: true, Until: after(86400), Preferred: after(14400),
		}},
		Routes: []pvd.Route{{
			Dst: prefix("2001:db8:aaaa::/48"), Via: netip.MustParseAddr("fe80::2"), Preference: pvd.High, Origin: pvd.FromRA, Until: after(1800),
		}},
		Resolvers: []pvd.Resolver{resolver("[2001:db8:f00d::53]:53", after(1800))},
		Search:    []pvd.Zone{{Name: "corp.example.org", Origin: pvd.FromRA, Until: after(1800)}},
		PREF64:    []pvd.PREF64{{Prefix: prefix("64:ff9b::/96"), Origin: pvd.FromRA, Until: after(1800)}},
	}
	if diff := cmp.Diff(want, got, comparable); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestRFC8801Figure2 is the RFC's own example: a domain without inner header.
func TestRFC8801Figure2(t *testing.T) {
	got, err := heard("fe80::1", plain+"150c8001007b076578616d706c65036f7267000000000000"+
		"190500000000070820010db8cafe0000000000000000005320010db8f00d00000000000000000053"+
		"030440c000015180000038400000000020010db8f00d00000000000000000000")
	if err != nil || got.ID != "example.org" || len(got.Resolvers) != 2 || len(got.Adverts) != 1 || got.RA.Nested.Header {
		t.Errorf("%+v, %v", got, err)
	}
	if got.RA.Lifetime != 1800*time.Second {
		t.Errorf("router lifetime %v, want the outer header's", got.RA.Lifetime)
	}
}

// TestDropped are the messages that must be dropped as a whole.
func TestDropped(t *testing.T) {
	for title, tt := range map[string]struct {
		m    message
		want error
	}{
		"hop limit 254":          {message{netip.MustParseAddr("fe80::1"), 254, octets(plain)}, errHopLimit},
		"global source":          {message{netip.MustParseAddr("2001:db8::1"), 255, octets(plain)}, errSource},
		"unspecified source":     {message{netip.MustParseAddr("::"), 255, octets(plain)}, errSource},
		"code 1":                 {message{netip.MustParseAddr("fe80::1"), 255, octets("8601" + plain[4:])}, errType},
		"a solicitation":         {message{netip.MustParseAddr("fe80::1"), 255, octets("8500" + plain[4:])}, errType},
		"15 octets":              {message{netip.MustParseAddr("fe80::1"), 255, octets(plain)[:15]}, errShort},
		"nothing":                {message{netip.MustParseAddr("fe80::1"), 255, nil}, errShort},
		"option of length 0":     {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "0101020000000001" + "0500000000000000")}, errOption},
		"unknown one too":        {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "fe00000000000000")}, errOption},
		"option past the end":    {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "0502000000000000")}, errOption},
		"half an option":         {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "05")}, errOption},
		"id past the option":     {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "15030000000007aaaaaaaaaaaaaaaaaa" + "aaaaaaaaaaaaaaaa")}, errPvD},
		"id runs out":            {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "1502000000000761626364656667" + "0361")}, errPvD},
		"id without end":         {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "1501000000000161")}, errPvD},
		"compressed id":          {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "15020000 0000 0161 c008 000000000000")}, errPvD},
		"the root as id":         {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "1501000000000000")}, errPvD},
		"no inner header":        {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "15022000 0000 0161016200 0000000000")}, errPvD},
		"half an inner header":   {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "15032000 0000 0161016200 0000000000" + "8600000000000640")}, errPvD},
		"nested one of length 0": {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "15030000 0000 0161016200 0000000000" + "0500000000000000")}, errOption},
		"nested past the end":    {message{netip.MustParseAddr("fe80::1"), 255, octets(plain + "15030000 0000 0161016200 0000000000" + "0502000000000000")}, errOption},
	} {
		if _, err := read(tt.m, link, at); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", title, err, tt.want)
		}
	}
}

// TestOptions reads one option behind a plain header.
func TestOptions(t *testing.T) {
	nat64 := func(p string, seconds int) func(*pvd.Report) {
		return func(r *pvd.Report) {
			r.PREF64 = []pvd.PREF64{{Prefix: prefix(p), Origin: pvd.FromRA, Until: after(seconds)}}
		}
	}
	route := func(p string, prefer pvd.Preference, until time.Time) func(*pvd.Report) {
		return func(r *pvd.Report) {
			r.Routes = []pvd.Route{{Dst: prefix(p), Via: r.Sender, Preference: prefer, Origin: pvd.FromRA, Until: until}}
		}
	}
	servers := func(all ...pvd.Resolver) func(*pvd.Report) { return func(r *pvd.Report) { r.Resolvers = all } }
	advert := func(a pvd.Advert) func(*pvd.Report) {
		return func(r *pvd.Report) {
			a.Router = r.Sender
			r.Adverts = []pvd.Advert{a}
		}
	}
	encrypted := resolver("[2001:db8:1::53]:853", after(1800))
	encrypted.Transport, encrypted.Name, encrypted.Priority = pvd.DoT, "resolver.example", 1
	for title, tt := range map[string]struct {
		option string
		want   func(*pvd.Report) // nil: skipped
	}{
		// C4
		"NAT64 /96":           {"260207080064ff9b0000000000000000", nat64("64:ff9b::/96", 1800)},
		"NAT64 /64":           {"2602025920010db80122034400000000", nat64("2001:db8:122:344::/64", 600)},
		"NAT64 /56":           {"2602fffa20010db80122030000000000", nat64("2001:db8:122:300::/56", 65528)},
		"NAT64 /48 withdrawn": {"2602000320010db80122000000000000", nat64("2001:db8:122::/48", 0)},
		"NAT64 /40":           {"2602000c20010db80100000000000000", nat64("2001:db8:100::/40", 8)},
		"NAT64 /32":           {"2602fffd20010db80000000000000000", nat64("2001:db8::/32", 65528)},
		"NAT64 PLC 6":         {"2602070e0064ff9b0000000000000000", nil},
		"NAT64 length 3":      {"260307080064ff9b00000000000000000000000000000000", nil},
		// C7
		"captive portal": {"250468747470733a2f2f63702e6578616d706c652e6e65742f61706900000000", func(r *pvd.Report) {
			r.Portal = pvd.PortalAPI{URI: "https://cp.example.net/api", Origin: pvd.FromRA}
		}},
		"portal by http": {"2504" + hex.EncodeToString([]byte("http://cp.example.net/api")) + "0000000000", nil},
		"DNR": {
			"9007000100000708001208" + "7265736f6c766572076578616d706c65000010" + "20010db8000100000000000000000053" + "00080001000403646f74",
			servers(encrypted),
		},
		"DNR, the name alone": {"9004000100000708001208" + "7265736f6c766572076578616d706c650000000000", func(r *pvd.Report) {
			r.Designated = []pvd.Designation{{Name: "resolver.example", Priority: 1, Origin: pvd.FromRA, Until: after(1800)}}
		}},
		"DNR, the name past the end": {"900200010000070800ff087265736f6c", nil},
		// RFC 4191
		"route":                  {"180230080000070820010db8aaaa0000", route("2001:db8:aaaa::/48", pvd.High, after(1800))},
		"route of low":           {"180230180000070820010db8aaaa0000", route("2001:db8:aaaa::/48", pvd.Low, after(1800))},
		"route of reserved":      {"180230100000070820010db8aaaa0000", nil},
		"route, dirty host bits": {"180221080000070820010db8aaaa0000", route("2001:db8:8000::/33", pvd.High, after(1800))},
		"route, long form":       {"180330080000070820010db8aaaa00000000000000000000", route("2001:db8:aaaa::/48", pvd.High, after(1800))},
		"host route":             {"180380080000070820010db8aaaa00000000000000000001", route("2001:db8:aaaa::1/128", pvd.High, after(1800))},
		"route /65 in short":     {"180241080000070820010db8aaaa0000", nil},
		"route /8 in none":       {"18010808 00000708", nil},
		"route /129":             {"180381080000070820010db8aaaa00000000000000000001", nil},
		"route, length 4":        {"180430080000070820010db8aaaa000000000000000000000000000000000000", nil},
		"route of link-local":    {"18020a0800000708fe80000000000000", nil},
		"default route":          {"1801000800000708", route("::/0", pvd.High, after(1800))},
		"default, never ends":    {"18010000ffffffff", route("::/0", pvd.Medium, time.Time{})},
		"default, withdrawn":     {"1801000000000000", route("::/0", pvd.Medium, at)},
		// RFC 8106
		"two resolvers": {
			"190500000000070820010db8cafe0000000000000000005320010db8f00d00000000000000000053",
			servers(resolver("[2001:db8:cafe::53]:53", after(1800)), resolver("[2001:db8:f00d::53]:53", after(1800))),
		},
		"link-local resolver":    {"19030000ffffffff" + "fe800000000000000000000000000053", servers(resolver("[fe80::53%7]:53", time.Time{}))},
		"multicast resolver":     {"1903000000000708" + "ff020000000000000000000000000053", nil},
		"resolvers, no server":   {"1901000000000708", nil},
		"resolvers, half of one": {"190200000000070820010db800000000", nil},
		"search list": {"1f0400000000070804636f7270076578616d706c65036f726700000000000000", func(r *pvd.Report) {
			r.Search = []pvd.Zone{{Name: "corp.example.org", Origin: pvd.FromRA, Until: after(1800)}}
		}},
		"compressed search list": {"1f020000 00000708 0161 c008 00000000", nil},
		// RFC 4861
		"prefix for ever": {
			"030440c0ffffffffffffffff0000000020010db8000100000000000000000000",
			advert(pvd.Advert{Prefix: prefix("2001:db8:1::/64"), OnLink: true, Auto: true}),
		},
		"prefix withdrawn": {
			"0304408000000000000000000000000020010db8000100000000000000000000",
			advert(pvd.Advert{Prefix: prefix("2001:db8:1::/64"), OnLink: true, Until: at, Preferred: at}),
		},
		"prefix deprecated, L and A unset": {
			"030440000000070800000000 0000000020010db8000100000000000000000099",
			advert(pvd.Advert{Prefix: prefix("2001:db8:1::/64"), Until: after(1800), Preferred: at}),
		},
		"prefix preferred for longer": {"030440c000000708000007090000000020010db8000100000000000000000000", nil},
		"link-local prefix":           {"030440c0000007080000070800000000fe800000000000000000000000000000", nil},
		"prefix /129":                 {"030481c000000708000007080000000020010db8000100000000000000000000", nil},
		"prefix, length 3":            {"030340c00000070800000708000000002001000000000000", nil},
		"MTU":                         {"05010000000005dc", func(r *pvd.Report) { r.MTU = 1500 }},
		"MTU above the interface's":   {"0501000000002328", nil},
		"MTU below the least":         {"05010000000004ff", nil},
		// RFC 8801
		"a domain without H": {"1502000f 007b 0161016200 0000000000", func(r *pvd.Report) { r.ID = "a.b" }},
		"only the first domain": {pvd1 + "1502000f 007b 0163016400 0000000000" + "05010000000005dc", func(r *pvd.Report) {
			r.ID, r.MTU = "pvd1.example.com", 1500
			r.RA.HTTP, r.RA.Legacy, r.RA.Delay, r.RA.Sequence = true, true, 1, 123
		}},
		"a domain in a domain": {"15040000 0000 0161016200 0000000000" + "15020000 0000 0163016400 0000000000", func(r *pvd.Report) { r.ID = "a.b" }},
		"an id in capitals":    {"15020000 0000 0141014200 0000000000", func(r *pvd.Report) { r.ID = "a.b" }},
		"an unknown option":    {"fe02000000000000ffffffffffffffff", nil},
	} {
		got, err := heard("fe80::1", plain+tt.option)
		if diff := cmp.Diff(report(tt.want), got, comparable); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", title, err, diff)
		}
	}
}

func TestABadOptionDoesNotHideTheNext(t *testing.T) {
	got, err := heard("fe80::1", plain+"2602070e0064ff9b0000000000000000"+"1901000000000708"+"05010000000005dc")
	if err != nil || got.MTU != 1500 {
		t.Errorf("MTU %d, %v", got.MTU, err)
	}
}

func TestHeader(t *testing.T) {
	for title, tt := range map[string]struct {
		header string
		want   pvd.Advertisement
	}{
		"managed, low":                  {"86000000 00 98 0001", pvd.Advertisement{Managed: true, Preference: pvd.Low, Lifetime: time.Second}},
		"reserved preference":           {"86000000 00 10 0001", pvd.Advertisement{Lifetime: time.Second}},
		"preference without a lifetime": {"86000000 40 08 0000", pvd.Advertisement{HopLimit: 64}},
	} {
		got, err := heard("fe80::1", tt.header+"0000000000000000")
		if diff := cmp.Diff(&tt.want, got.RA, comparable); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", title, err, diff)
		}
	}
}

func TestObjectsAreBounded(t *testing.T) {
	route, pref64 := "1801000800000708", "260207080064ff9b0000000000000000"
	got, err := heard("fe80::1", plain+strings.Repeat(route, 400)+strings.Repeat(pref64, 400)+
		strings.Repeat("030440c0ffffffffffffffff0000000020010db8000100000000000000000000", 100)+
		strings.Repeat("190300000000070820010db8000100000000000000000053", 100)+
		strings.Repeat("1f0400000000070804636f7270076578616d706c65036f726700000000000000", 100))
	if err != nil {
		t.Fatal(err)
	}
	for title, n := range map[string]int{
		"routes": len(got.Routes), "NAT64 prefixes": len(got.PREF64), "prefixes": len(got.Adverts),
		"resolvers": len(got.Resolvers), "names": len(got.Search),
	} {
		if n != maxObjects {
			t.Errorf("%d %s, want %d", n, title, maxObjects)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(octets(plain + pvd1))
	f.Add(octets(plain + "1514a001007b076578616d706c65036f726700000000000086000000000006400000000000000000190300000000070820010db8f00d00000000000000000053" +
		"030440c000015180000038400000000020010db8f00d00000000000000000000180230080000070820010db8aaaa0000" +
		"1f0400000000070804636f7270076578616d706c65036f726700000000000000260207080064ff9b0000000000000000"))
	f.Add(octets(plain + "90070001000007080012087265736f6c766572076578616d706c6500001020010db800010000000000000000005300080001000403646f74"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := read(message{netip.MustParseAddr("fe80::1"), 255, body}, link, at)
		if err != nil {
			return
		}
		if got.RA == nil || got.Origin != pvd.FromRA || got.MTU > link.MTU {
			t.Fatalf("%+v", got)
		}
		for _, r := range got.Routes {
			if r.Dst != r.Dst.Masked() || !r.Until.IsZero() && r.Until.Before(at) {
				t.Fatalf("%+v", r)
			}
		}
		for _, a := range got.Adverts {
			if a.Prefix != a.Prefix.Masked() || !a.Until.IsZero() && (a.Preferred.IsZero() || a.Preferred.After(a.Until)) {
				t.Fatalf("%+v", a)
			}
		}
		for _, p := range got.PREF64 {
			if p.Prefix != p.Prefix.Masked() || p.Until.IsZero() {
				t.Fatalf("%+v", p)
			}
		}
		if len(got.Resolvers) > maxObjects || len(got.Search) > maxObjects {
			t.Fatalf("%d resolvers, %d names", len(got.Resolvers), len(got.Search))
		}
	})
}
