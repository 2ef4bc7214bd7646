package pvd

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// validated returns what two uplinks are taken for, given a verdict for each by
// name ("" is none yet).
func validated(t *testing.T, verdicts map[string]Connectivity) map[string]string {
	t.Helper()
	b := NewBuilder(usual())
	k := new(kernel).link(2, "e1").addr(2, "192.0.2.2/24").route(2, "default", "192.0.2.1").
		link(3, "e2").addr(3, "198.51.100.2/24").route(3, "default", "198.51.100.1")
	in := Inputs{Validating: true, Hints: Hints{PerLink: map[int][]netip.Addr{}}}
	for _, l := range k.Links {
		in.Hints.PerLink[l.Index] = []netip.Addr{netip.MustParseAddr("192.0.2.53")}
	}
	first := b.Build(k.State, in)
	in.Verdicts = make(map[Key]Verdict)
	for _, d := range first.All() {
		if v := verdicts[d.Name]; v != "" {
			in.Verdicts[d.Key()] = Verdict{Connectivity: v, Reason: "because", PortalURL: "http://portal"}
		}
	}
	out := make(map[string]string)
	for _, d := range b.Build(k.State, in).All() {
		out[d.Name] = string(d.State) + " " + string(d.Connectivity)
		if !d.Leads(false) {
			out[d.Name] += " isolated"
		}
	}
	return out
}

func TestLaterAnnouncedAPIIsAskedBeforeUse(t *testing.T) {
	const api = "https://cp.example.net/api"
	for asked, want := range map[string]State{"": Connecting, api: Online, "https://other.example.net/": Connecting} {
		d := &Domain{State: Online, Internet: true, Addresses: []Address{{}}, Portal: PortalAPI{URI: api}}
		in := Inputs{Validating: true, Verdicts: map[Key]Verdict{d.Key(): {Connectivity: Full, API: asked}}}
		if in.judge(d); d.State != want {
			t.Errorf("validated by %q: %s, want %s", asked, d.State, want)
		}
	}
}

func TestVerdictsMakeStates(t *testing.T) {
	cases := []struct {
		name     string
		verdicts map[string]Connectivity
		want     map[string]string
	}{
		{"nobody has looked yet", nil, map[string]string{"e1": "connecting unknown", "e2": "connecting unknown"}},
		{"both are good", map[string]Connectivity{"e1": Full, "e2": Full}, map[string]string{"e1": "online full", "e2": "online full"}},
		{"one wants a login", map[string]Connectivity{"e1": Portal, "e2": Unknown}, map[string]string{"e1": "captive portal", "e2": "online unknown"}},
		{"one has no Internet", map[string]Connectivity{"e1": None, "e2": Full}, map[string]string{"e1": "degraded none isolated", "e2": "online full"}},
		{"none has, so the probe may be wrong", map[string]Connectivity{"e1": None, "e2": None}, map[string]string{"e1": "degraded none", "e2": "degraded none"}},
		{"nothing is proven of the other", map[string]Connectivity{"e1": None, "e2": Unknown}, map[string]string{"e1": "degraded none", "e2": "online unknown"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, validated(t, c.verdicts)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
