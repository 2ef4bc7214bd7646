package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mifvif/netwatch"
)

func TestDamageByOthersIsSaidOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := damage{tell: func(_, _, _ string) {}, log: slog.New(slog.NewTextHandler(&out, nil))}
		time.Sleep(time.Hour) // the zero times are long ago
		rule := netwatch.Rule{Priority: 6416, Iif: "lo", Table: 64180}
		there := rule
		there.Protocol = netwatch.Protocol
		whole, broken := netwatch.State{Rules: []netwatch.Rule{there}}, netwatch.State{}
		said := func() int { return strings.Count(out.String(), "removed by somebody else") }

		d.look(broken) // nothing is in force yet
		d.inForce([]netwatch.Rule{rule})
		d.look(broken) // read before it was made
		time.Sleep(2 * damageGrace)
		d.look(whole)
		if said() != 0 {
			t.Errorf("complained without damage: %s", out.String())
		}
		for range 10 {
			d.look(broken)
			d.inForce([]netwatch.Rule{rule})
		}
		if said() != 1 {
			t.Errorf("complained %d times, want once", said())
		}
		time.Sleep(complainEvery)
		d.look(broken)
		if said() != 2 {
			t.Errorf("complained %d times after a minute, want twice", said())
		}
	})
}
