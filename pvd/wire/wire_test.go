package wire_test

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mifvif/pvd"
	"mifvif/pvd/wire"
)

var comparable = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}

func octets(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNamesAreReadAndBounded(t *testing.T) {
	long := strings.Repeat("3f"+strings.Repeat("61", 63), 4) + "00"
	for _, test := range []struct {
		title, in string
		compress  bool
		want      []string
		err       error
	}{
		{"upper case", "03454e47 00 036e6574 00", false, []string{"eng", "net"}, nil},
		{"the root", "00", false, []string{""}, nil},
		{"nothing", "", false, nil, nil},
		{"cut off", "03656e67", false, nil, wire.ErrShort},
		{"no final root", "03656e67 036e6574", false, nil, wire.ErrShort},
		{"pointer where none may be", "03656e67 c000", false, nil, wire.ErrPointer},
		{"a dot in a label", "03612e62 00", false, nil, wire.ErrLabel},
		{"a NUL in a label", "03610062 00", false, nil, wire.ErrLabel},
		{"an escape in a label", "031b5b6d 00", false, nil, wire.ErrLabel},
		{"a label of type 01", "4061 00", false, nil, wire.ErrLabel},
		{"256 octets", long, false, nil, wire.ErrLong},
		{"RFC 3397's example", "03656e67056170706c6503636f6d00 096d61726b6574696e67c004", true, []string{"eng.apple.com", "marketing.apple.com"}, nil},
		{"the last name cut off", "03656e6700 096d61726b", true, []string{"eng"}, nil},
		{"the last pointer cut off", "03656e6700 0161c0", true, []string{"eng"}, nil},
		{"a pointer to itself", "c000", true, nil, wire.ErrPointer},
		{"a pointer forward", "c002 03656e6700", true, nil, wire.ErrPointer},
		{"a loop of two", "0161c0040162c000", true, nil, wire.ErrPointer},
	} {
		read := wire.Names
		if test.compress {
			read = wire.CompressedNames
		}
		got, err := read(octets(t, test.in))
		if diff := cmp.Diff(test.want, got); diff != "" || !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v\n%s", test.title, err, test.err, diff)
		}
	}
	if got, err := wire.Names(make([]byte, 5000)); len(got) != wire.MaxNames || err != nil {
		t.Errorf("a list of 5000 names gives %d, %v", len(got), err)
	}
}

func TestEncryptedResolversOfAllThreeProtocols(t *testing.T) {
	const (
		called = "087265736f6c766572076578616d706c6500"
		dot    = "0001000403646f74"
		doh    = "00010003026832 0007 0010 2f646e732d71756572797b3f646e737d"
		hint   = "0001000403646f74 0004 0004 c0000235"
		must   = "0000 0002 0063 0001000403646f74"
		ported = "0001000403646f74 0003 0002 0355"
	)
	v4 := []netip.Addr{netip.MustParseAddr("192.0.2.53")}
	v6 := []netip.Addr{netip.MustParseAddr("2001:db8:1::53")}
	dhcp4 := func(b []byte) (wire.Encrypted, error) {
		all, err := wire.EncryptedFromDHCPv4(b)
		if len(all) != 1 {
			return wire.Encrypted{}, errors.Join(err, wire.ErrRecord)
		}
		return all[0], err
	}
	ra := func(b []byte) (wire.Encrypted, error) { return wire.EncryptedFromRA(1, b) }
	for _, test := range []struct {
		title string
		read  func([]byte) (wire.Encrypted, error)
		in    string
		want  *wire.Encrypted // nil: refused
	}{
		{"DHCPv4", dhcp4, "0022 0001 12" + called + "04 c0000235" + dot, &wire.Encrypted{Priority: 1, Name: "resolver.example", Addrs: v4, DoT: true}},
		{"DHCPv4, name alone", dhcp4, "0015 0001 12" + called, &wire.Encrypted{Priority: 1, Name: "resolver.example"}},
		{"DHCPv4, longer than it is", dhcp4, "0023 0001 12" + called + "04 c0000235" + dot, nil},
		{"DHCPv4, loopback", dhcp4, "0022 0001 12" + called + "04 7f000001" + dot, nil},
		{"DHCPv4, half an address", dhcp4, "0021 0001 12" + called + "03 c00002" + dot, nil},
		{"DHCPv4, no protocol we speak", dhcp4, "001e 0001 12" + called + "04 c0000235" + "00020000", nil},
		{"DHCPv6", wire.EncryptedFromDHCPv6, "0001 0012" + called + "0010 20010db8000100000000000000000053" + dot, &wire.Encrypted{Priority: 1, Name: "resolver.example", Addrs: v6, DoT: true}},
		{"DHCPv6, DoH", wire.EncryptedFromDHCPv6, "0001 0012" + called + "0010 20010db8000100000000000000000053" + doh, &wire.Encrypted{Priority: 1, Name: "resolver.example", Addrs: v6, DoH: true, Path: "/dns-query{?dns}"}},
		{"DHCPv6, a port", wire.EncryptedFromDHCPv6, "0001 0012" + called + "0010 20010db8000100000000000000000053" + ported, &wire.Encrypted{Priority: 1, Name: "resolver.example", Addrs: v6, DoT: true, Port: 853}},
		{"DHCPv6, hints", wire.EncryptedFromDHCPv6, "0001 0012" + called + "0010 20010db8000100000000000000000053" + hint, nil},
		{"DHCPv6, an unknown key is mandatory", wire.EncryptedFromDHCPv6, "0001 0012" + called + "0010 20010db8000100000000000000000053" + must, nil},
		{"DHCPv6, keys out of order", wire.EncryptedFromDHCPv6, "0001 0012" + called + "0010 20010db8000100000000000000000053" + "000300020355" + dot, nil},
		{"DHCPv6, multicast", wire.EncryptedFromDHCPv6, "0001 0012" + called + "0010 ff020000000000000000000000000053" + dot, nil},
		{"DHCPv6, the root's name", wire.EncryptedFromDHCPv6, "0001 0001 00" + "0010 20010db8000100000000000000000053" + dot, nil},
		{"RA", ra, "0012" + called + "0010 20010db8000100000000000000000053 0008" + dot, &wire.Encrypted{Priority: 1, Name: "resolver.example", Addrs: v6, DoT: true}},
		{"RA, name alone and padding", ra, "0012" + called + "00000000", &wire.Encrypted{Priority: 1, Name: "resolver.example"}},
		{"RA, something behind it", ra, "0012" + called + "0010 20010db8000100000000000000000053 0008" + dot + "01", nil},
	} {
		got, err := test.read(octets(t, test.in))
		switch {
		case test.want == nil && err == nil:
			t.Errorf("%s: %+v is taken, refuse it", test.title, got)
		case test.want != nil && (err != nil || cmp.Diff(*test.want, got, comparable) != ""):
			t.Errorf("%s: %v\n%s", test.title, err, cmp.Diff(*test.want, got, comparable))
		}
	}
}

func TestABadRecordDoesNotHideTheNext(t *testing.T) {
	const good = "0022 0001 12 087265736f6c766572076578616d706c6500 04 c0000235 0001000403646f74"
	got, err := wire.EncryptedFromDHCPv4(octets(t, "0003 0001 ff"+good+good))
	if len(got) != 2 || err == nil {
		t.Errorf("%d records, error %v; want both good ones and the error", len(got), err)
	}
}

func TestEncryptedResolverIsRestatedForEachAddressAndTransport(t *testing.T) {
	e := wire.Encrypted{Priority: 2, Name: "r.example", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}, DoT: true, DoH: true, Path: "/q{?dns}"}
	var got []string
	for _, r := range e.Resolvers(pvd.Resolver{Origin: pvd.FromDHCPv4}) {
		got = append(got, r.Addr.String()+r.Path)
	}
	want := []string{"192.0.2.1:853", "192.0.2.1:443/q{?dns}", "192.0.2.2:853", "192.0.2.2:443/q{?dns}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPortalURIs(t *testing.T) {
	for in, want := range map[string]string{
		"https://cp.example.net/api":             "https://cp.example.net/api",
		"https://cp.example.net/api\x00\x00\x00": "https://cp.example.net/api",
		wire.Unrestricted:                        wire.Unrestricted,
		"http://cp.example.net/api":              "",
		"https://":                               "",
		"https://:443/x":                         "",
		"https://user@cp.example.net/":           "",
		"https://cp.example.net/\x1b[2J":         "",
		"https://cp.example.net/a b":             "",
		"urn:ietf:params:other":                  "",
		"":                                       "",
		"https://cp.example.net/" + strings.Repeat("x", 2000): "",
	} {
		if got, err := wire.PortalURI([]byte(in)); got != want || (err == nil) != (want != "") {
			t.Errorf("%q gives %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestResolverSelectionLists(t *testing.T) {
	s, err := wire.SelectedFromDHCPv4(octets(t, "01 0a010035 00000000 04636f7270076578616d706c6503636f6d00 013101300231 30 07696e2d61646472046172706100"))
	want := wire.Selected{Servers: []netip.Addr{netip.MustParseAddr("10.1.0.53")}, Preference: pvd.High, Zones: []string{"corp.example.com", "1.0.10.in-addr.arpa"}}
	if diff := cmp.Diff(want, s, comparable); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	s, err = wire.SelectedFromDHCPv6(octets(t, "20010db8000100000000000000000053 03 00"))
	want = wire.Selected{Servers: []netip.Addr{netip.MustParseAddr("2001:db8:1::53")}, Preference: pvd.Low, General: true}
	if diff := cmp.Diff(want, s, comparable); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, bad := range []string{"", "01 0a010035 00000000", "01 0a010035 00000000 04636f", "01 00000000 00000000 0161 00", "01 7f000001 00000000 0161 00", "01 0a010035 00000000 c000"} {
		if _, err := wire.SelectedFromDHCPv4(octets(t, bad)); err == nil {
			t.Errorf("%s is taken, refuse it", bad)
		}
	}
	if s, err := wire.SelectedFromDHCPv4(octets(t, "02 0a010035 0a020035 016100")); err != nil || s.Preference != pvd.Medium || len(s.Servers) != 2 {
		t.Errorf("%+v, %v; the reserved preference is medium, both servers count", s, err)
	}
	var r pvd.Report
	s = wire.Selected{Servers: []netip.Addr{netip.MustParseAddr("10.1.0.53")}, Zones: []string{"a.example"}}
	s.Describe(&r, pvd.Resolver{Origin: pvd.FromDHCPv4}, pvd.Zone{Origin: pvd.FromDHCPv4})
	if len(r.Resolvers) != 1 || !r.Resolvers[0].Only || len(r.Zones) != 1 || r.Zones[0].Server != r.Resolvers[0].Addr {
		t.Errorf("%+v: a server without the root is for its zones only", r)
	}
}

func TestAddressSelectionTables(t *testing.T) {
	got, err := wire.TableFromDHCPv6(octets(t, "00 0055 0003 01 28 00 0055 0009 0d 64 30 20010db80001 0055 000f 04 63 60 00000000000000000000ffff"))
	want := wire.Table{PreferPublic: true, Rows: []pvd.PolicyRow{
		{Prefix: netip.MustParsePrefix("::/0"), Precedence: 40, Label: 1, Origin: pvd.FromDHCPv6},
		{Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Precedence: 100, Label: 13, Origin: pvd.FromDHCPv6},
		{Prefix: netip.MustParsePrefix("::ffff:0:0/96"), Precedence: 99, Label: 4, Origin: pvd.FromDHCPv6},
	}}
	if diff := cmp.Diff(want, got, comparable); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if got, err := wire.TableFromDHCPv6([]byte{3}); err != nil || got.PreferPublic || !got.Automatic {
		t.Errorf("flags alone give %+v, %v", got, err)
	}
	for _, bad := range []string{"", "00 0055", "00 0055 0009 0d", "00 0055 0003 01 28 81", "00 0055 0008 0d 64 30 20010db800", "00 0055 000a 0d 64 30 20010db8000100"} {
		if _, err := wire.TableFromDHCPv6(octets(t, bad)); err == nil {
			t.Errorf("%s is taken, refuse it", bad)
		}
	}
}

func TestServersAreUnicastAndEachOnce(t *testing.T) {
	got, bad, ok := wire.Servers(octets(t, "0a010035 0a010035 7f000001 e0000001 00000000 ffffffff 08080808"), 4)
	want := []netip.Addr{netip.MustParseAddr("10.1.0.53"), netip.MustParseAddr("8.8.8.8")}
	if diff := cmp.Diff(want, got, comparable); diff != "" || bad != 4 || !ok {
		t.Errorf("bad %d, ok %v\n%s", bad, ok, diff)
	}
	if _, _, ok := wire.Servers(octets(t, "0a0100"), 4); ok {
		t.Error("three octets are no address")
	}
}

func FuzzOptions(f *testing.F) {
	f.Add([]byte("\x00\x22\x00\x01\x12\x08resolver\x07example\x00\x04\xc0\x00\x02\x35\x00\x01\x00\x04\x03dot"))
	f.Add([]byte("\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func([]byte) ([]string, error){wire.Names, wire.CompressedNames} {
			all, _ := read(b)
			if len(all) > wire.MaxNames {
				t.Fatalf("%d names", len(all))
			}
			for _, name := range all {
				if len(name) > 253 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
					t.Fatalf("the name %q is not safe", name)
				}
			}
		}
		records, _ := wire.EncryptedFromDHCPv4(b)
		if len(records) > wire.MaxRecords {
			t.Fatalf("%d records", len(records))
		}
		_, _ = wire.EncryptedFromDHCPv6(b)
		_, _ = wire.EncryptedFromRA(1, b)
		_, _ = wire.SelectedFromDHCPv4(b)
		_, _ = wire.SelectedFromDHCPv6(b)
		_, _ = wire.PortalURI(b)
		_, _ = wire.TextName(b)
		if table, err := wire.TableFromDHCPv6(b); err == nil && len(table.Rows) > wire.MaxRows {
			t.Fatalf("%d rows", len(table.Rows))
		}
	})
}
