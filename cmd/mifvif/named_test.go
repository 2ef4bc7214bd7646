package main

import (
	"strings"
	"testing"

	"mifvif/control"
)

// TestADomainThatIsNotThereIsWrongUsage of every command that takes the name of one.
func TestADomainThatIsNotThereIsWrongUsage(t *testing.T) {
	s := newSite(t, "")
	const want = `mifvif: there is no domain "e9" (there are: e1, e2)` + "\n"
	for _, line := range []string{
		"pvds e9", "pvds e9 --json", "portal e9", "portal e9 -- true", "drain e9", "drain e9 --deadline 1m", "undrain e9", "exec --pvd e9 true",
		"resolve --pvd e9 www.example.net", "resolve --cache --pvd e9", "flows --pvd e9", "flows --pvd e9 --json", "flows --pvd e9 --follow",
	} {
		if exit := s.cli(strings.Fields(line)...); exit.Code != exitUsage || exit.Stderr != want || exit.Stdout != "" {
			t.Errorf("mifvif %s: %v, want exit %d and %q", line, exit, exitUsage, want)
		}
	}
	for _, line := range []string{"pvds e1", "drain e1", "undrain e1", "resolve --cache --pvd e1", "flows --pvd e1"} {
		if exit := s.cli(strings.Fields(line)...); exit.Code != exitDone {
			t.Errorf("mifvif %s: %v", line, exit)
		}
	}
}

func TestWhereThereIsNoDomainThatIsSaid(t *testing.T) {
	_, err := only([]control.PvD{}, "e9")
	if err == nil || err.Error() != `there is no domain "e9" (there are: none)` || code(err) != exitUsage {
		t.Errorf("%v", err)
	}
}
