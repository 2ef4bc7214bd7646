package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFiguresAreMediansAndTheWorstOfFailures(t *testing.T) {
	turns := []turn{
		{sample{5, 2e9, map[string]float64{"failed": 0, "p99 us": 30}}, 1},
		{sample{1, 1e9, map[string]float64{"failed": 7, "p99 us": 10}}, 2},
		{sample{3, 1e9, map[string]float64{"failed": 0, "p99 us": 20}}, 1},
	}
	want := Figures{Median: 3, Min: 1, Max: 5, PerGB: 1, Extra: map[string]float64{"failed": 7, "p99 us": 20}}
	if diff := cmp.Diff(want, figures(turns)); diff != "" {
		t.Error(diff)
	}
}

func TestAMedianOfNothingIsZero(t *testing.T) {
	if got := median(nil); got != 0 {
		t.Errorf("median of nothing: %v", got)
	}
}
