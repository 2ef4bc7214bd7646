package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func results() []Result {
	return []Result{{
		ID: "row", Title: "some <work>", Unit: "1/s", Turns: 3,
		Systems: map[string]Figures{
			Direct:  {Median: 200, Min: 190, Max: 210, Ratio: 1},
			Mif0:    {Median: 50, Min: 40, Max: 60, Ratio: 0.25, PerGB: 0.5, Extra: map[string]float64{"failed": 0}},
			Offload: {Median: 180, Min: 180, Max: 180, Ratio: 0.9, PerGB: 0.001},
		},
	}}
}

// The marks of the README.
const begin, end = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"

func TestATableTakesTheOldOnesPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(path, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time over what the first wrote
		if err := WriteTable(path, results()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + begin + Table(results()) + end + "after\n"; string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	const row = "| some <work> | 1/s | 200 (190-210) |  | 50.0 (40.0-60.0) | 0.25 | 0.50 | failed 0 | 180 | 0.90 | < 0.01 |  |"
	if !strings.Contains(string(got), row) {
		t.Errorf("no row %s in %s", row, got)
	}
}

func TestChartsAreXML(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "charts")
	if err := WriteCharts(dir, results()); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "bench-1.svg"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bars := 0
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if want := 1 + 4 + 3; bars != want { // paper, legend, bars
		t.Errorf("%d rectangles, want %d", bars, want)
	}
}
