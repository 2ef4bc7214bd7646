package main

import (
	"bytes"
	"testing"

	"github.com/spf13/cobra"

	"mifvif/control"
)

// TestRatesAreShort: three digits and a unit, at every size.
func TestRatesAreShort(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 bit/s", 999: "999 bit/s", 1000: "1 kbit/s", 999_499: "999 kbit/s", 999_500: "1 Mbit/s", 999_999: "1 Mbit/s", 12_345_678: "12.3 Mbit/s", 1_500_000_000: "1.5 Gbit/s",
	} {
		if got := rate(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// TestNothingPrintedIsObeyed: a process is called what its user likes.
func TestNothingPrintedIsObeyed(t *testing.T) {
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	flows := []control.Flow{{ID: "t1", Owner: control.Owner{Process: "\x1b]0;owned\x07"}, Name: "日本.example", PvD: "a\u202eb", Rule: "\xff\u009b2J"}}
	if err := show(cmd, &globals{}, flows, printFlows); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"?]0;owned?", "日本.example", "a?b", "??2J"} {
		if !bytes.Contains(out.Bytes(), []byte(want)) {
			t.Errorf("%q is missing in %q", want, out.String())
		}
	}
	for line := range bytes.Lines(out.Bytes()) {
		if text := string(bytes.TrimSuffix(line, []byte("\n"))); text != visible(text) {
			t.Errorf("the terminal would obey something of %q", text)
		}
	}
}
