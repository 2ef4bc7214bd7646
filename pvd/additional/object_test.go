package additional

import (
	"strings"
	"testing"
	"time"
)

// about is an object that is in order, with its parts replaced pairwise.
func about(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(`{"identifier":"PvD.example.com.","expires":"2026-11-25T12:00:00Z","prefixes":["2001:db8:1::/48","2001:db8:2::/64"],
		"dnsZones":["Corp.example.com","example.net."],"noInternet":true,"vendor-x":{"a":[1,{"b":null}]}}`)
}

func TestParse(t *testing.T) {
	now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	o, err := parse([]byte(about()), "pvd.example.com", now)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(o.Zones, " ") != "corp.example.com example.net" || !o.NoInternet || len(o.Prefixes) != 2 || !o.Expires.Equal(now.Add(12*time.Hour)) {
		t.Errorf("got %+v", o)
	}
	for name, body := range map[string]string{
		"another identifier":     about("PvD.", "other."),
		"no identifier":          about("identifier", "name"),
		"expired":                about("T12", "T00", "11-25", "11-24"),
		"expires now":            about("T12", "T00"),
		"no time":                about("2026-11-25T12:00:00Z", "tomorrow"),
		"no expires":             about("expires", "expiry"),
		"no prefixes":            about("prefixes", "prefix"),
		"an IPv4 prefix":         about("2001:db8:2::/64", "192.0.2.0/24"),
		"a number for a prefix":  about(`"2001:db8:2::/64"`, "7"),
		"the root as a zone":     about("example.net.", "."),
		"no name as a zone":      about("example.net.", "a b"),
		"a text for noInternet":  about("true", `"yes"`),
		"a key twice":            about(`"vendor-x"`, `"expires"`),
		"a key in another case":  about(`"vendor-x"`, `"EXPIRES"`),
		"a nested key twice":     about(`"b":null`, `"b":1,"b":2`),
		"not UTF-8":              about("vendor-x", "vendor-\xff"),
		"something behind":       about() + "{}",
		"an array":               "[" + about() + "]",
		"nothing":                "",
		"cut off":                about()[:60],
		"nested without measure": about("null", strings.Repeat("[", 10000)+strings.Repeat("]", 10000)),
		"too many zones":         about(`"example.net."`, `"a"`+strings.Repeat(`,"a"`, maxZones)),
		"too many prefixes":      about(`"2001:db8:2::/64"`, `"::/0"`+strings.Repeat(`,"::/0"`, maxPrefixes)),
	} {
		if o, err := parse([]byte(body), "pvd.example.com", now); err == nil {
			t.Errorf("%s: taken as %+v", name, o)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(about()))
	f.Add([]byte(about("null", `[[[{"a":{}}]]]`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		now := time.Unix(1764028800, 0)
		o, err := parse(b, "pvd.example.com", now)
		if err != nil {
			return
		}
		if !o.Expires.After(now) || len(o.Zones) > maxZones || len(o.Prefixes) > maxPrefixes {
			t.Errorf("%+v is out of bounds", o)
		}
		for _, z := range o.Zones {
			if !isName(z) {
				t.Errorf("zone %q", z)
			}
		}
	})
}
