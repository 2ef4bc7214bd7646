package dhcp4

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mifvif/pvd"
	"mifvif/pvd/pvdtest"
)

var byValue = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}

var testMAC = [6]byte{2, 0, 0, 0, 0, 1}

// message is an answer with the given type and options behind the server's
// identifier, 10.1.0.1.
func message(kind byte, options ...byte) []byte {
	b := make([]byte, 240)
	b[0], b[1], b[2] = 2, 1, 6
	b[7] = 7
	copy(b[28:], testMAC[:])
	copy(b[236:], []byte{99, 130, 83, 99})
	b = append(b, 53, 1, kind, 54, 4, 10, 1, 0, 1)
	return append(append(b, options...), 255)
}

// reported is what an answer with the options says of a link with 10.1.0.200/16.
func reported(t *testing.T, link Link, options string) (pvd.Report, int) {
	t.Helper()
	a, err := Parse(message(5, pvdtest.Octets(t, options)...))
	if err != nil {
		t.Fatal(err)
	}
	r, refused := a.Report(link, netip.MustParsePrefix("10.1.0.200/16"), time.Unix(1, 0))
	if r.Origin != pvd.FromDHCPv4 || r.Sender != netip.MustParseAddr("10.1.0.1") || !r.Received.Equal(time.Unix(1, 0)) {
		t.Errorf("the report does not say where it is from: %+v", r)
	}
	return r, refused
}

func lines(r pvd.Report) []string {
	var out []string
	via := func(a netip.Addr) string {
		if !a.IsValid() {
			return "link"
		}
		return a.String()
	}
	for _, h := range r.NextHops {
		out = append(out, "default "+via(h.Addr))
	}
	for _, x := range r.Routes {
		out = append(out, x.Dst.String()+" "+via(x.Via))
	}
	for _, x := range r.Resolvers {
		line := "dns " + x.Addr.String()
		if x.Name != "" {
			line += " " + x.Name
		}
		if x.Only {
			line += " only"
		}
		out = append(out, line)
	}
	out = append(out, pvdtest.Rest(r)...)
	if r.MTU != 0 {
		out = append(out, "mtu "+strconv.Itoa(r.MTU))
	}
	return out
}

func TestAnswersAreRestated(t *testing.T) {
	const (
		routes = "792c000a010001 080a0a010002 100a110a010003 180a1b810a010004 190ae500800a010005 200ac67a2f00000000"
		three  = "03040a0100fe"
		// corp.example.com by 10.1.0.53
		selection = "921b 01 0a010035 00000000 04636f7270076578616d706c6503636f6d 00"
		search    = "771b03656e67056170706c6503636f6d00096d61726b6574696e67c004"
	)
	for _, test := range []struct {
		title, options string
		trusted        bool
		want           []string
		refused        int
	}{
		{"C7: 121", routes, false, []string{"default 10.1.0.1", "10.0.0.0/8 10.1.0.2", "10.17.0.0/16 10.1.0.3", "10.27.129.0/24 10.1.0.4", "10.229.0.128/25 10.1.0.5", "10.198.122.47/32 link"}, 0},
		{"C7: host bits", "79091981d2b1840a010001", false, []string{"129.210.177.128/25 10.1.0.1"}, 0},
		{"121 silences 3 and 33", "7907180a420a010001" + three + "21080a4d00000a010001", false, nil, 1},
		{"121 without a default leaves none", "7908180a42000a010001" + three, false, []string{"10.66.0.0/24 10.1.0.1"}, 0},
		{"121 cut off", "7904180a4200" + three, false, nil, 1},
		{"121 with 33 bits", "790a210a4200000a010001aa" + three, false, nil, 1},
		{"3 and 33", "0308 0a0100fe 0a0100fd 2108 0a4d0000 0a010009", false, []string{"default 10.1.0.254", "default 10.1.0.253", "10.0.0.0/8 10.1.0.9"}, 0},
		{"33 has no default", "2108000000000a010009", false, nil, 1},
		{"a router outside the prefix, the only one", "03040a020001", false, []string{"default 10.2.0.1"}, 0},
		{"a router outside the prefix beside one inside", "03080a0200010a010001", false, []string{"default 10.1.0.1"}, 1},
		{"a default by 121 outside the prefix, and a route by the same", "790d 00 0a020001 18 0a4200 0a020001", false, []string{"default 10.2.0.1"}, 1},
		{"a router outside that is no host", "0304e0000001", false, nil, 1},
		{"a router that we are", "03040a0100c8", false, nil, 1},
		{"a router behind an on-link route", "790e 20a9fe0001 00000000 00 a9fe0001", false, []string{"default 169.254.0.1", "169.254.0.1/32 link"}, 0},
		{"a route to groups and to us", "7911 04e0 0a010001 087f 0a010001 00 0a010001", false, []string{"default 10.1.0.1"}, 2},
		{"C7: 119", search, false, []string{"search eng.apple.com", "search marketing.apple.com"}, 0},
		{"C7: 119 in three parts", "770903656e67056170706c 77096503636f6d00096d61 770972 6b6574696e67c004", false, []string{"search eng.apple.com", "search marketing.apple.com"}, 0},
		{"15 and 119", search + "0f0e" + hex.EncodeToString([]byte("Lan.example.\x00\x00")), false, []string{"search eng.apple.com", "search marketing.apple.com", "search lan.example"}, 0},
		{"15 with a blank", "0f05" + hex.EncodeToString([]byte("a b.c")), false, nil, 1},
		{"C7: 114", "721a68747470733a2f2f63702e6578616d706c652e6e65742f617069", false, []string{"portal https://cp.example.net/api"}, 0},
		{"114 without TLS", "7219" + hex.EncodeToString([]byte("http://cp.example.net/api")), false, nil, 1},
		{"C7: 162", "a22400220001 12 087265736f6c766572076578616d706c6500 04 c0000235 0001000403646f74", false, []string{"dns 192.0.2.53:853 resolver.example"}, 0},
		{"162, the name alone", "a217 0015 0001 12 087265736f6c766572076578616d706c6500", false, []string{"named resolver.example"}, 0},
		{"6", "060c0a0100350808080808080808", false, []string{"dns 10.1.0.53:53", "dns 8.8.8.8:53"}, 0},
		{"6 with loopback and ourselves", "060c 7f000035 0a0100c8 0a010035", false, []string{"dns 10.1.0.53:53"}, 2},
		{"6 with five octets", "06050a01003501", false, nil, 1},
		{"42 and 26", "2a040a01007b 1a0205dc", false, []string{"ntp 10.1.0.123", "mtu 1500"}, 0},
		{"26 too small", "1a020043", false, nil, 1},
		{"146 untrusted", selection, false, nil, 0},
		{"146 trusted", selection, true, []string{"dns 10.1.0.53:53 only", "zone corp.example.com"}, 0},
	} {
		r, refused := reported(t, Link{Index: 2, Trusted: test.trusted}, test.options)
		if diff := cmp.Diff(test.want, lines(r)); diff != "" || refused != test.refused {
			t.Errorf("%s: %d refused, want %d\n%s", test.title, refused, test.refused, diff)
		}
	}
}

func TestOptionsInTheFieldsOfFileAndNameAreJoined(t *testing.T) {
	b := message(5, 52, 1, 3, 6, 4, 10, 1, 0, 53)
	copy(b[108:], []byte{6, 4, 10, 1, 0, 54, 255})
	copy(b[44:], []byte{6, 4, 10, 1, 0, 55, 255})
	a, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := a.Report(Link{}, netip.MustParsePrefix("10.1.0.200/16"), time.Now())
	want := []string{"dns 10.1.0.53:53", "dns 10.1.0.54:53", "dns 10.1.0.55:53"}
	if diff := cmp.Diff(want, lines(r)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNoAnswerIsRefused(t *testing.T) {
	change := func(f func(b []byte)) []byte {
		b := message(5)
		f(b)
		return b
	}
	for title, b := range map[string][]byte{
		"empty":                 nil,
		"short":                 message(5)[:239],
		"a request":             change(func(b []byte) { b[0] = 1 }),
		"not Ethernet":          change(func(b []byte) { b[1] = 6 }),
		"a long address":        change(func(b []byte) { b[2] = 16 }),
		"another magic":         change(func(b []byte) { b[236] = 0 }),
		"no end":                message(5)[:249],
		"an option cut off":     append(message(5)[:249], 6, 9, 1),
		"no server":             append(message(5)[:243], 255),
		"the server is nobody":  change(func(b []byte) { clear(b[245:249]) }),
		"overload of 4":         message(5, 52, 1, 4),
		"bad options in a name": append(change(func(b []byte) { b[44], b[45] = 6, 200 })[:249], 52, 1, 2, 255),
		"huge":                  append(message(5), make([]byte, 5000)...),
	} {
		if _, err := Parse(b); err == nil {
			t.Errorf("%s: taken, refuse it", title)
		}
	}
}

func TestLeases(t *testing.T) {
	for _, test := range []struct {
		title, options string
		want           Lease
		ok             bool
	}{
		{"an hour", "3304 00000e10 0104 ffffff00", Lease{Valid: time.Hour, T1: 30 * time.Minute, T2: 52*time.Minute + 30*time.Second}, true},
		{"times of its own", "3304 00000e10 3a04 00000258 3b04 000004b0 0104 ffffff00", Lease{Valid: time.Hour, T1: 10 * time.Minute, T2: 20 * time.Minute}, true},
		{"T2 before T1", "3304 00000e10 3a04 000004b0 3b04 00000258 0104 ffffff00", Lease{Valid: time.Hour, T1: 30 * time.Minute, T2: 52*time.Minute + 30*time.Second}, true},
		{"for ever", "3304 ffffffff 0104 ffffff00", Lease{Valid: Forever}, true},
		{"a second", "3304 00000001 0104 ffffff00", Lease{}, false},
		{"none", "0104 ffffff00", Lease{}, false},
		{"a mask with holes", "3304 00000e10 0104 ff00ff00", Lease{}, false},
		{"a mask of all", "3304 00000e10 0104 00000000", Lease{}, false},
	} {
		b := message(5, pvdtest.Octets(t, test.options)...)
		copy(b[16:], []byte{10, 1, 0, 100})
		a, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := a.Lease()
		if test.ok {
			test.want.Prefix = netip.MustParsePrefix("10.1.0.100/24")
		}
		if test.want.Valid == Forever {
			got.T1, got.T2 = 0, 0
		}
		if diff := cmp.Diff(test.want, got, byValue); diff != "" || ok != test.ok {
			t.Errorf("%s: %v\n%s", test.title, ok, diff)
		}
	}
}

func TestIPv6OnlyWaits(t *testing.T) {
	for options, want := range map[string]time.Duration{"6c0400000708": 1800 * time.Second, "6c0400000000": 300 * time.Second, "6c03000007": 0} {
		a, err := Parse(message(2, pvdtest.Octets(t, options)...))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := a.V6Only(); got != want || ok != (want > 0) {
			t.Errorf("%s: %v %v, want %v", options, got, ok, want)
		}
	}
}

func TestOnlyAClientThatMayAsksForIPv6Only(t *testing.T) {
	for _, test := range []struct {
		link       Link
		asks       bool
		selections bool
	}{
		{Link{Mode: Inform, V6Only: true}, false, false},
		{Link{Mode: Client}, false, false},
		{Link{Mode: Client, V6Only: true, Trusted: true}, true, true},
	} {
		list := string(test.link.parameters())
		if got := strings.Contains(list, "\x6c"); got != test.asks {
			t.Errorf("%+v asks for option 108: %v", test.link, got)
		}
		if got := strings.Contains(list, "\x92"); got != test.selections {
			t.Errorf("%+v asks for option 146: %v", test.link, got)
		}
		if strings.Index(list, "\x79") > strings.Index(list, "\x03") || strings.Index(list, "\x79") > strings.Index(list, "\x21") {
			t.Error("option 121 must be asked for before 3 and 33")
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(message(5, pvdtest.Octets(f, "792c000a010001080a0a010002100a110a010003180a1b810a010004190ae500800a010005200ac67a2f00000000")...))
	f.Add(message(5, pvdtest.Octets(f, "771b03656e67056170706c6503636f6d00096d61726b6574696e67c004")...))
	f.Add(message(2, 52, 1, 3, 51, 4, 0, 0, 14, 16))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse(b)
		if err != nil {
			return
		}
		a.Lease()
		a.V6Only()
		on := netip.MustParsePrefix("10.1.0.200/16")
		r, _ := a.Report(Link{Trusted: true}, on, time.Unix(1, 0))
		if len(r.Routes)+len(r.NextHops) > maxRoutes || len(r.Search) > 70 || len(r.NTP) > 16 {
			t.Fatalf("unbounded: %d routes, %d names", len(r.Routes), len(r.Search))
		}
		for _, x := range r.Routes {
			if x.Dst != x.Dst.Masked() {
				t.Fatalf("host bits: %v", x.Dst)
			}
		}
	})
}
