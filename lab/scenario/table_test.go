package scenario_test

import (
	"strings"
	"testing"

	"mifvif/lab/scenario"

	"github.com/google/go-cmp/cmp"
)

func TestTableTellsTheScore(t *testing.T) {
	of := func(results ...string) (r scenario.Report) {
		for i, id := range []string{"3.1", "3.2-1", "stop"} {
			r.Scenarios = append(r.Scenarios, scenario.Result{ID: id, Title: "what " + id + " shows (the kernel too)", Result: results[i]})
		}
		return r
	}
	got := strings.Split(scenario.Table(of("passed", "failed", "passed"), of("failed", "failed", "passed")), "\n")
	want := []string{
		"| row | what is shown | mifvif | kernel |", "|---|---|---|---|",
		"| 3.1 | what 3.1 shows | passed | failed |", "| 3.2-1 | what 3.2-1 shows | failed | failed |", "",
		"1 of the 2 rows that have a scenario pass; the kernel alone passes 0 of them. The RFC has 87 rows in all.", "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
