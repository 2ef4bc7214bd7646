package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// Table returns the scores of mifvif and of the plain kernel, row beside row, as
// Markdown, in the order of their ids. Only rows of RFC 6418 stand in it, not the
// checks beside them.
func Table(mifvif, kernel Report) string {
	var b strings.Builder
	b.WriteString("| row | what is shown | mifvif | kernel |\n|---|---|---|---|\n")
	var rows, passed, alone int
	played := slices.Clone(mifvif.Scenarios)
	slices.SortStableFunc(played, func(a, b Result) int { return strings.Compare(a.ID, b.ID) })
	for _, r := range played {
		if !IsRow(r.ID) {
			continue
		}
		k := "not played"
		if i := slices.IndexFunc(kernel.Scenarios, func(o Result) bool { return o.ID == r.ID }); i >= 0 {
			k = kernel.Scenarios[i].Result
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.ID, strings.TrimSuffix(r.Title, " (the kernel too)"), r.Result, k)
		rows++
		passed += count(r.Result)
		alone += count(k)
	}
	fmt.Fprintf(&b, "\n%d of the %d rows that have a scenario pass; the kernel alone passes %d of them. The RFC has %d rows in all.\n", passed, rows, alone, problems)
	return b.String()
}

// problems is how many rows RFC 6418 is parted into.
const problems = 87

func count(result string) int {
	if result == Passed {
		return 1
	}
	return 0
}

// IsRow reports whether an id is a row of RFC 6418, such as "4.1-CP0" or "3.1";
// the checks beside them have words.
func IsRow(id string) bool { return id != "" && id[0] >= '0' && id[0] <= '9' }
