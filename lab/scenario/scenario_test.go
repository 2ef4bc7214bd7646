package scenario_test

import (
	"os"
	"strings"
	"testing"

	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/lab/scenario"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScenarios plays every scenario against the real binary.
func TestScenarios(t *testing.T) {
	labtest.Need(t)
	if testing.Short() {
		t.Skip("scenarios take minutes")
	}
	binary, err := lab.Binary(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	all := func(scenario.Scenario) bool { return true }
	play(t, scenario.Player{System: scenario.Mifvif, Binary: binary}, all, func(t *testing.T, s scenario.Scenario, r scenario.Result) {
		t.Helper()
		if r.Result != scenario.Passed {
			t.Errorf("%s: %s", s.Title, r.Detail)
		}
	})
}

// TestTitlesTellWhatTheKernelPassesToo plays scenarios against the plain kernel:
// one that passes there proves nothing about mifvif and must say so. Checks that
// are no row and do not say so are about what only mifvif has; they would take
// minutes to fail.
func TestTitlesTellWhatTheKernelPassesToo(t *testing.T) {
	labtest.Need(t)
	if testing.Short() {
		t.Skip("scenarios take minutes")
	}
	says := func(s scenario.Scenario) bool { return strings.HasSuffix(s.Title, "(the kernel too)") }
	asked := func(s scenario.Scenario) bool { return says(s) || s.ID[0] >= '0' && s.ID[0] <= '9' }
	play(t, scenario.Player{System: scenario.Kernel}, asked, func(t *testing.T, s scenario.Scenario, r scenario.Result) {
		t.Helper()
		says := says(s)
		if passed := r.Result == scenario.Passed; passed != says {
			t.Errorf("against the kernel it %s (%s), but its title says %q", r.Result, r.Detail, s.Title)
		}
		t.Log(r.Detail)
	})
}

func play(t *testing.T, p scenario.Player, asked func(scenario.Scenario) bool, judge func(*testing.T, scenario.Scenario, scenario.Result)) {
	t.Helper()
	p.Strict = os.Getenv("CI") == "true"
	for _, s := range scenario.All() {
		if !asked(s) {
			continue
		}
		t.Run(s.ID, func(t *testing.T) {
			r := p.Play(t.Context(), s)
			if r.Result == scenario.Skipped {
				t.Skip(r.Detail)
			}
			judge(t, s, r)
		})
	}
}
