package bench

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
)

// colour returns a system's colour; people who see no red or green can tell them
// apart.
func colour(system string) string {
	switch system {
	case Direct:
		return "#9aa5b1"
	case Policy:
		return "#56b4e9"
	case Offload:
		return "#0072b2"
	}
	return "#d55e00"
}

// WriteCharts writes one SVG bar chart for every unit of the results into a
// directory: bench-1.svg and so on.
func WriteCharts(dir string, results []Result) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of the charts: %w", err)
	}
	var units []string
	by := make(map[string][]Result)
	for _, r := range results {
		if len(by[r.Unit]) == 0 {
			units = append(units, r.Unit)
		}
		by[r.Unit] = append(by[r.Unit], r)
	}
	for i, unit := range units {
		path := filepath.Join(dir, fmt.Sprintf("bench-%d.svg", i+1))
		if err := os.WriteFile(path, []byte(chart(unit, by[unit])), 0o644); err != nil {
			return fmt.Errorf("write a chart: %w", err)
		}
	}
	return nil
}

// chart draws one unit's rows as groups of horizontal bars, each row to a scale
// of its own: rows of one unit differ by orders of magnitude.
func chart(unit string, results []Result) string {
	const width, label, bar, gap, top = 860, 400, 12, 14, 40
	height := top
	for _, r := range results {
		height += len(r.Systems)*bar + gap
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	x := 10
	for _, name := range systems() {
		fmt.Fprintf(&b, `<rect x="%d" y="12" width="10" height="10" fill="%s"/><text x="%d" y="21">%s</text>`+"\n", x, colour(name), x+14, name)
		x += 80
	}
	fmt.Fprintf(&b, `<text x="%d" y="21">%s</text>`+"\n", x, html.EscapeString(unit))
	y := top
	for _, r := range results {
		var most float64
		for _, f := range r.Systems {
			most = max(most, f.Median)
		}
		fmt.Fprintf(&b, `<text x="10" y="%d">%s</text>`+"\n", y+10, html.EscapeString(r.Title))
		for _, name := range systems() {
			f, ok := r.Systems[name]
			if !ok {
				continue
			}
			w := 1.0
			if most > 0 {
				w = max(1, f.Median/most*(width-label-70))
			}
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.0f" height="%d" fill="%s"/><text x="%.0f" y="%d">%s</text>`+"\n",
				label, y, w, bar-2, colour(name), label+w+4, y+9, number(f.Median))
			y += bar
		}
		y += gap
	}
	b.WriteString("</svg>\n")
	return b.String()
}
