package nd_test

import (
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"mifvif/lab/nd"

	"github.com/google/go-cmp/cmp"
)

const (
	short = 1800 * time.Second
	day   = 24 * time.Hour
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

// TestOptions compares with octets that were written by hand from the RFCs.
func TestOptions(t *testing.T) {
	inner := nd.RA{Lifetime: 1600 * time.Second}
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"MTU":      {nd.MTU(1500), "05010000000005dc"},
		"prefix":   {nd.Prefix(prefix("2001:db8:1::/64"), 30*day, 7*day, nd.OnLink|nd.Auto), "030440c000278d0000093a800000000020010db8000100000000000000000000"},
		"route":    {nd.Route(prefix("2001:db8:aaaa::/48"), nd.High, short), "180230080000070820010db8aaaa0000"},
		"default":  {nd.Route(prefix("::/0"), nd.Medium, short), "1801000000000708"},
		"resolver": {nd.Resolvers(short, addr("2001:db8:1::53")), "190300000000070820010db8000100000000000000000053"},
		"search":   {nd.Search(short, "corp.example.org"), "1f0400000000070804636f7270076578616d706c65036f726700000000000000"},
		"portal":   {nd.Portal("https://cp.example.net/api"), "250468747470733a2f2f63702e6578616d706c652e6e65742f61706900000000"},
		"NAT64":    {nd.PREF64(prefix("64:ff9b::/96"), short), "260207080064ff9b0000000000000000"},
		"NAT64/48": {nd.PREF64(prefix("2001:db8:122::/48"), 0), "2602000320010db80122000000000000"},
		"DNR": {
			nd.Encrypted(1, short, "resolver.example", []byte{0, 1, 0, 4, 3, 'd', 'o', 't'}, addr("2001:db8:1::53")),
			"9007000100000708001208" + "7265736f6c766572076578616d706c6500001020010db8000100000000000000000053" + "00080001000403646f74",
		},
		"PvD":   {nd.PvD{ID: "pvd1.example.com", HTTP: true, Legacy: true, Delay: 1, Sequence: 123}.Option(), "1503c001007b0470766431076578616d706c6503636f6d00"},
		"inner": {nd.PvD{ID: "example.org", HTTP: true, Delay: 1, Sequence: 123, Header: &inner}.Option(nd.MTU(1500)), "1506a001007b076578616d706c65036f7267000000000000" + "86000000000006400000000000000000" + "05010000000005dc"},
	} {
		if diff := cmp.Diff(tt.want, hex.EncodeToString(tt.got)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestMessageAndChecksum(t *testing.T) {
	ra := nd.RA{HopLimit: 64, Other: true, Preference: nd.High, Lifetime: short}.With(
		nd.SourceMAC([6]byte{2, 0, 0, 0, 0, 1}), nd.MTU(1500),
		nd.Prefix(prefix("2001:db8:1::/64"), 30*day, 7*day, nd.OnLink|nd.Auto),
		nd.Resolvers(short, addr("2001:db8:1::53")),
		nd.PvD{ID: "pvd1.example.com", HTTP: true, Legacy: true, Delay: 1, Sequence: 123}.Option())
	b := ra.Bytes()
	if got, want := hex.EncodeToString(b[:16]), "86000000404807080000000000000000"; got != want || len(b) != 112 {
		t.Errorf("header %s and %d octets, want %s and 112", got, len(b), want)
	}
	if got := nd.Checksum(addr("fe80::1"), addr("ff02::1"), b); got != 0xb137 {
		t.Errorf("checksum %04x, want b137", got)
	}
}
