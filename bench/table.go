package bench

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"mifvif/lab/mark"
)

// Table returns the results as a Markdown table.
func Table(results []Result) string {
	var b strings.Builder
	b.WriteString("| work | unit | kernel direct (spread) | policy routing, masquerade | mif0 (spread) | mif0 / direct | CPU s/GB | | offload (spread) | offload / direct | CPU s/GB | |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.Title, r.Unit, spread(r.Systems[Direct]), number(r.Systems[Policy].Median),
			cells(r.Systems[Mif0]), cells(r.Systems[Offload]))
	}
	return b.String()
}

// cells prints a system of mifvif's: the last four columns are the offload's.
func cells(f Figures) string {
	return fmt.Sprintf("%s | %s | %s | %s", spread(f), number(f.Ratio), cost(f), extras(f.Extra))
}

// cost prints processor seconds, where bytes were carried: few are a figure, too.
func cost(f Figures) string {
	if f.PerGB > 0 && f.PerGB < 0.01 {
		return "< 0.01"
	}
	return number(f.PerGB)
}

// spread prints a median and what it is the median of.
func spread(f Figures) string {
	if f.Min == f.Max {
		return number(f.Median)
	}
	return fmt.Sprintf("%s (%s-%s)", number(f.Median), number(f.Min), number(f.Max))
}

// number prints a figure with as many digits as mean something, "" for none.
func number(v float64) string {
	switch {
	case v == 0:
		return ""
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func extras(all map[string]float64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		v := number(all[k])
		if v == "" {
			v = "0"
		}
		parts = append(parts, k+" "+v)
	}
	return strings.Join(parts, ", ")
}

// Line returns one result for a person who looks on.
func Line(r Result) string {
	d, p, m := r.Systems[Direct], r.Systems[Policy], r.Systems[Mif0]
	line := fmt.Sprintf("%-18s %8s %8s %8s %-7s", r.ID, number(d.Median), number(p.Median), number(m.Median), r.Unit) + beside(m)
	if o, ok := r.Systems[Offload]; ok {
		line += fmt.Sprintf("; offload %8s", number(o.Median)) + beside(o)
	}
	return line
}

// beside prints what else is known of a system of mifvif's.
func beside(f Figures) (line string) {
	if f.Ratio > 0 {
		line += fmt.Sprintf(" ratio %.2f", f.Ratio)
	}
	if text := cost(f); text != "" {
		line += "  " + text + " CPU s/GB"
	}
	if text := extras(f.Extra); text != "" {
		line += "  " + text
	}
	return line
}

// WriteTable writes the table into a file: between its bench marks where it has
// them, else as the whole file.
func WriteTable(path string, results []Result) error {
	return mark.Write(path, "bench", Table(results)) //nolint:wrapcheck // says what and where
}
