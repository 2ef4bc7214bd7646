package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mifvif/flow"
	"mifvif/nat"
	"mifvif/pvd"
	"mifvif/scheduler"
)

// goldenWorld has a fibre with two networks behind it, a metered line that asks to
// be used last, a company's tunnel and a line that is down.
func goldenWorld() []*pvd.Domain {
	domain := func(slot uint16, name, address string, internet bool) *pvd.Domain {
		d := &pvd.Domain{
			Name: name, Interface: "if-" + name, Slot: slot, Attached: 1, State: pvd.Online, Weight: 1, Internet: internet,
			Addresses: []pvd.Address{{Prefix: netip.MustParsePrefix(address)}},
		}
		if internet {
			d.NextHops = []pvd.NextHop{{Addr: d.Addresses[0].Prefix.Masked().Addr().Next()}}
		}
		return d
	}
	fiber, lte := domain(0, "fiber", "10.1.0.2/24", true), domain(1, "lte", "10.2.0.2/24", true)
	corp, wifi := domain(2, "corp", "10.8.0.2/24", false), domain(3, "wifi", "10.4.0.2/24", true)
	fiber.Routes = []pvd.Route{{Dst: netip.MustParsePrefix("192.0.2.0/25"), Origin: pvd.FromDHCPv4}}
	lte.NextHops[0].Preference, lte.Metered = pvd.Low, true
	corp.Prefixes, corp.Trust = []netip.Prefix{netip.MustParsePrefix("10.128.0.0/9")}, pvd.Trusted
	corp.Zones = []pvd.Zone{{Name: "corp.example.com", Origin: pvd.FromDHCPv4}}
	wifi.State, wifi.Reason = pvd.Offline, "the link has no carrier"
	return []*pvd.Domain{fiber, lte, corp, wifi}
}

// TestExplanationsAreGolden: what explain says, in words and in JSON, does not
// change unnoticed. After a change that is meant, delete the files and run it.
func TestExplanationsAreGolden(t *testing.T) {
	s := scheduler.New(scheduler.Config{Source: nat.SelectSource})
	s.Publish(pvd.NewSet(goldenWorld()), &scheduler.Policy{Rules: []scheduler.Rule{
		{Name: "vpn-only", Actor: scheduler.Locked, Match: scheduler.Match{Ports: []scheduler.PortRange{{First: 22, Last: 22}}}, Require: []string{"corp"}, Path: scheduler.PathTranslate},
		{Name: "mine", Actor: scheduler.User, Match: scheduler.Match{Users: []uint32{4711}}, Require: []string{"lte"}},
		{Name: "house", Actor: scheduler.Admin, Prefer: []string{"fiber", "lte"}},
	}})
	s.Translates(true)
	s.Learn(pvd.Key{Slot: 1, Attached: 1}, netip.MustParseAddr("192.0.2.80"), scheduler.Sample{RTT: 30 * time.Millisecond})
	f := flow.Flow{Proto: flow.TCP, Src: netip.MustParseAddrPort("198.18.0.1:40000"), Dst: netip.MustParseAddrPort("192.0.2.80:443")}
	user, ssh, inner, name := f, f, f, f
	user.Owner = flow.Owner{Known: true, UID: 4711}
	ssh.Owner, ssh.Dst = user.Owner, netip.MustParseAddrPort("192.0.2.80:22")
	inner.Dst = netip.MustParseAddrPort("10.200.0.1:443")
	name.Dst, name.Name = netip.AddrPortFrom(netip.IPv4Unspecified(), 443), "www.corp.example.com"
	for what, f := range map[string]flow.Flow{"house": f, "user": user, "locked": ssh, "claimed": inner, "zone": name} {
		e := s.Explain(f)
		told := inWords(f, &e)
		var text, object bytes.Buffer
		printExplanation(&text, told)
		if err := printJSON(&object, told); err != nil {
			t.Fatal(err)
		}
		for ending, got := range map[string]string{".txt": text.String(), ".json": object.String()} {
			path := filepath.Join("testdata", "explain", what+ending)
			golden(t, path, got)
		}
	}
}

// golden compares with a file, which it writes where it is not there.
func golden(t *testing.T, path, got string) {
	t.Helper()
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s was not there and is now: look at it", path)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
