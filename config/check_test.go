package config

import (
	"strings"
	"testing"
	"time"

	"mifvif/pvd"
)

func TestCheckIsTyped(t *testing.T) {
	cases := []struct {
		check string
		want  pvd.Check
		wrong string
	}{
		{`{interval: 5s, url: "http://probe.example.net/generate_204"}`, pvd.Check{URL: "http://probe.example.net/generate_204", Interval: 5 * time.Second}, ""},
		{`{url: "https://192.0.2.80/204"}`, pvd.Check{URL: "https://192.0.2.80/204"}, ""},
		{`{interval: 5}`, pvd.Check{}, "interval"},
		{`{interval: 10ms}`, pvd.Check{}, "1s to 24h"},
		{`{url: "ftp://192.0.2.80/"}`, pvd.Check{}, "no page to ask for"},
		{`{uri: "http://192.0.2.80/"}`, pvd.Check{}, "uri"},
	}
	for _, c := range cases {
		cfg, err := Parse("f.yaml", []byte("pvds:\n  - {name: a, interface: eth0, check: "+c.check+"}\n"))
		switch {
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: got %v, want an error about %q", c.check, err, c.wrong)
		case c.wrong == "" && err != nil:
			t.Errorf("%s: %v", c.check, err)
		case c.wrong == "" && cfg.PvDs[0].Check != c.want:
			t.Errorf("%s: got %+v", c.check, cfg.PvDs[0].Check)
		}
	}
}
